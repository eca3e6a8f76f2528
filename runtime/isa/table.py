"""The instruction table: one row per DaVinci instruction that this project knows.

From these rows come the ops of the `davinci` dialect (`make isa`), encoder, decoder, assembler text,
disassembly, the simulator's dispatch, the timing class and `docs/isa.md`.  Facts are those of
`reference/davinci.md` §3 (tags such as [CSIM] and [ASC] are explained there).

Units: a block is 32 bytes, a fractal 512 bytes (16 rows of 32 bytes), or 1024 bytes in L0C for 32-bit types.
"""

from __future__ import annotations

from .model import Instruction, StateField, StateGroup
from .rows_cross import CROSS_ROWS
from .rows_cube import CUBE_ROWS
from .rows_move import MOVE_ROWS
from .rows_scalar import SCALAR_ROWS
from .rows_scatter import SCATTER_ROWS, VA_REGISTERS
from .rows_select import SELECT_ROWS
from .rows_sort import SORT_ROWS
from .rows_split import ALIGN_ROWS, SPLIT_ROWS, SPLIT_STATE_ROWS
from .rows_split_vector import SPLIT_VECTOR_ROWS
from .rows_vector import VECTOR_ROWS

_ALL_ONES = -1

ATOMIC_NAMES: tuple[str, ...] = (
    "none",
    *(f"add_{kind}" for kind in ("f32", "f16", "s16", "s32", "s8", "bf16")),
    *(f"{op}_{kind}" for op in ("max", "min") for kind in ("f32", "f16", "s16", "s32", "s8", "bf16")),
)
"""What stores to device memory do, by the code in the register `atomic`; which of them a core has is data."""

STATE_GROUPS: dict[str, StateGroup] = {
    group.name: group
    for group in (
        StateGroup(
            "mask",
            "set_vector_mask",
            (
                StateField(
                    "mask_hi", -(1 << 63), (1 << 63) - 1, _ALL_ONES, "lanes 127..64 (16-bit types only)"
                ),
                StateField("mask_lo", -(1 << 63), (1 << 63) - 1, _ALL_ONES, "lanes 63..0"),
            ),
        ),
        StateGroup(
            "count",
            "set_mask_count",
            (
                StateField(
                    "count",
                    -1,
                    (1 << 31) - 1,
                    -1,
                    "counter mode: total number of elements; -1 = normal mode (mask and repeat decide)",
                ),
            ),
        ),
        StateGroup(
            "fmatrix",
            "set_fmatrix",
            (
                StateField("fm_width", 1, 32767, 1, "width of the feature map in L1"),
                StateField("fm_height", 1, 32767, 1, "height of the feature map in L1"),
                StateField("pad_left", 0, 255, 0),
                StateField("pad_right", 0, 255, 0),
                StateField("pad_top", 0, 255, 0),
                StateField("pad_bottom", 0, 255, 0),
            ),
        ),
        StateGroup(
            "fmatrix_b",
            "set_fmatrix_b",
            (
                StateField("fmb_width", 1, 32767, 1, "as fm_width …, of the second feature map"),
                StateField("fmb_height", 1, 32767, 1),
                StateField("fmb_pad_left", 0, 255, 0),
                StateField("fmb_pad_right", 0, 255, 0),
                StateField("fmb_pad_top", 0, 255, 0),
                StateField("fmb_pad_bottom", 0, 255, 0),
            ),
        ),
        StateGroup(
            "l1_boundary",
            "set_l1_3d_size",
            (
                StateField(
                    "l1_boundary",
                    0,
                    1 << 20,
                    0,
                    "L1 addresses of load3d wrap to 0 there; 32-byte units (load3dv1) or bytes (load3d); 0 = off; machine "
                    "code only: the extents of the dialect do not wrap",
                    machine_only=True,
                ),
            ),
        ),
        StateGroup(
            "padding", "set_padding", (StateField("pad_value", 0, 65535, 0, "raw 16-bit fill value"),)
        ),
        StateGroup(
            "quant_pre",
            "set_quant_pre",
            (StateField("quant_pre", -(1 << 63), (1 << 63) - 1, 0, "as DEQSCALE for 8-bit results"),),
        ),
        StateGroup(
            "nd_para",
            "set_nd_para",
            (
                StateField("nd_num", 0, 65535, 1, "matrices per fixpipe instruction with nz2nd"),
                StateField("src_nd_stride", 0, 512, 0, "fractals"),
                StateField("dst_nd_stride", 0, 65535, 0, "elements"),
            ),
        ),
        StateGroup(
            "mov_pad",
            "set_mov_pad_val",
            (StateField("mov_pad", -(1 << 63), (1 << 63) - 1, 0, "raw bits of the type"),),
        ),
        StateGroup("deqscale", "set_deqscale", (StateField("deqscale", -(1 << 63), (1 << 63) - 1, 0),)),
        StateGroup(
            "atomic",
            "set_atomic",
            (
                StateField(
                    "atomic",
                    0,
                    len(ATOMIC_NAMES) - 1,
                    0,
                    ", ".join(f"{code} {name.replace('_', ' ')}" for code, name in enumerate(ATOMIC_NAMES)),
                ),
            ),
        ),
        *(
            StateGroup(
                name,
                f"set_{name}",
                tuple(
                    StateField(f"{name}_{half}", -(1 << 63), (1 << 63) - 1, 0, f"block numbers {entries}")
                    for half, entries in (("low", "0..3"), ("high", "4..7"))
                ),
            )
            for name in VA_REGISTERS
        ),
    )
}

INSTRUCTIONS: tuple[Instruction, ...] = (
    *SCALAR_ROWS,
    *MOVE_ROWS,
    *CUBE_ROWS,
    *VECTOR_ROWS,
    *SORT_ROWS,
    *CROSS_ROWS,
    *SPLIT_STATE_ROWS,
    *ALIGN_ROWS,
    *SPLIT_ROWS,
    *SPLIT_VECTOR_ROWS,
    *SELECT_ROWS,
    *SCATTER_ROWS,
)
TABLE: dict[str, Instruction] = {row.mnemonic: row for row in INSTRUCTIONS}
BY_OPCODE: dict[int, Instruction] = {row.opcode: row for row in INSTRUCTIONS}

if len(TABLE) != len(INSTRUCTIONS) or len(BY_OPCODE) != len(INSTRUCTIONS):
    raise ValueError("instruction table: mnemonics and opcodes must be unique")


def state_fields(row: Instruction) -> tuple[StateField, ...]:
    """The state values that `row` reads, in table order."""
    return tuple(field for name in row.state for field in STATE_GROUPS[name].fields)
