"""Instructions on the blocks of VA registers: each equals the plain instruction on the same blocks, gathered."""

from __future__ import annotations

import random

import numpy as np
import pytest
from ascend_mlir.runtime.isa.model import Instruction
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from ascend_mlir.runtime.isa.rows_scatter import SCATTER_ROWS
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.soc import load_soc
from lanes import SIZES, random_ub, run_on_ub
from sim_kernels import rules

UB_SIZE = 131072
DATA = 49152  # bytes of each operand's region
REGIONS = (0, 32768, 65536)
FRONT = 98304  # contiguous copies for the plain instruction
P3 = load_soc("Ascend310P3")
REPEATS = 3
COMPUTING = [
    row for row in SCATTER_ROWS if row.family == "vector_scatter" and row.mnemonic != "scatter_vector_mov"
]


def at(offset: int) -> AddressOperand:
    return AddressOperand("ub", offset)


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def set_va(number: int, blocks: list[int]) -> Record:
    words = [sum(block << 16 * i for i, block in enumerate(blocks[half : half + 4])) for half in (0, 4)]
    return Record(f"set_va{number}", scalars=[signed(word) for word in words])


def mask_record(mask: int) -> Record:
    return Record("set_vector_mask", scalars=[signed(mask >> 64), signed(mask & (1 << 64) - 1)])


def run(records: list[Record], ub: bytes) -> np.ndarray:
    return np.frombuffer(run_on_ub(records, ub), np.uint8)


@pytest.mark.parametrize("masked", ["full", "ragged", "counter"])
@pytest.mark.parametrize("row", COMPUTING, ids=lambda row: row.mnemonic)
def test_as_the_plain_instruction(row: Instruction, masked: str) -> None:
    plain = TABLE[row.mnemonic.removeprefix("scatter_")]
    for dtype in sorted(P3.core.intrinsics[row.intrinsic]):
        rng = random.Random(f"{row.mnemonic}{masked}{dtype}")
        size, names = SIZES[dtype], [address.name for address in row.addresses]
        lanes = 256 // size
        ub = bytes(random_ub([(0, FRONT, dtype)], UB_SIZE, rng))
        setup = [Record("set_cmpmask", addresses=[at(0)])]
        mask = rng.getrandbits(lanes) if masked == "ragged" else (1 << lanes) - 1
        setup.append(
            Record("set_mask_count", scalars=[2 * lanes + 9]) if masked == "counter" else mask_record(mask)
        )
        blocks = {name: rng.sample(range(200), 8) for name in names}
        reps = {name: rng.choice([0, 300, 256]) if name != "dst" else 256 for name in names}
        once = row.mnemonic == "scatter_vcmp"
        if once:
            reps = dict.fromkeys(names, 0)
        repeats = 1 if once else REPEATS
        registers = dict(zip(names, rng.sample(range(8), len(names)), strict=True))
        setup += [set_va(registers[name], blocks[name]) for name in names]
        scalars: list[Operand] = [rng.getrandbits(16) if size == 2 else 0x3FC00000] * len(row.scalars)
        fields: dict[str, Operand] = {f"{name}_va": registers[name] for name in names}
        fields |= {} if once else {"repeat": repeats} | {f"{name}_rep": reps[name] for name in names}
        plain_fields: dict[str, Operand] = {} if once else {"repeat": repeats}
        if once:
            fields["condition"] = plain_fields["condition"] = rng.randrange(6)
        get_mask = Record("get_cmpmask", addresses=[at(UB_SIZE - 32)])
        got = run([*setup, Record(row.mnemonic, dtype, [at(REGIONS[i]) for i in range(len(names))], scalars, fields),
                   get_mask], ub)  # fmt: skip
        # the same blocks, contiguous, for the plain instruction
        start = np.frombuffer(ub, np.uint8)
        packed = start.copy()
        where = {
            name: np.array([
                REGIONS[i] + (block + r * reps[name]) * 32 for r in range(repeats) for block in blocks[name]
            ])
            for i, name in enumerate(names)
        }  # fmt: skip
        for i, name in enumerate(names):
            piece = np.concatenate([start[place : place + 32] for place in where[name]])
            packed[FRONT + 4096 * i : FRONT + 4096 * i + len(piece)] = piece
        places = [at(FRONT + 4096 * i) for i in range(len(names))]
        after = run(
            [*setup, Record(plain.mnemonic, dtype, places, scalars, plain_fields), get_mask], packed.tobytes()
        )
        expected = start.copy()
        if not once:
            for number, place in enumerate(where["dst"]):
                expected[place : place + 32] = after[FRONT + 32 * number : FRONT + 32 * number + 32]
        expected[UB_SIZE - 32 :] = after[UB_SIZE - 32 :]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["f16", "s16", "u16"])
def test_move(dtype: str) -> None:
    rng = random.Random(dtype)
    ub = rng.randbytes(UB_SIZE)
    mask = rng.getrandbits(128)
    to, source = rng.sample(range(100), 8), rng.sample(range(100), 8)
    fields: dict[str, Operand] = {"repeat": 2, "dst_va": 1, "dst_rep": 128, "src_va": 6, "src_rep": 3}
    records = [mask_record(mask), set_va(1, to), set_va(6, source),
               Record("scatter_vector_mov", dtype, [at(0), at(65536)], (), fields)]  # fmt: skip
    got = run_on_ub(records, ub)
    expected = bytearray(ub)
    for r in range(2):
        for lane in range(128):
            if mask >> lane & 1:
                place = (to[lane // 16] + 128 * r) * 32 + lane % 16 * 2
                start = 65536 + (source[lane // 16] + 3 * r) * 32 + lane % 16 * 2
                expected[place : place + 2] = ub[start : start + 2]
    assert got == bytes(expected)


@pytest.mark.parametrize("high", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("dtype", ["f16", "u8", "s32"])
def test_transposition_of_any_rows(dtype: str, high: tuple[int, int]) -> None:
    """Row i is the block of entry i of a pair of registers; b32 columns fill two rows, b8 moves half blocks."""
    if dtype != "u8" and high != (0, 0):
        pytest.skip("half blocks are for bytes")
    rng = random.Random(f"{dtype}{high}")
    size = SIZES[dtype]
    ub = rng.randbytes(UB_SIZE)
    to, source = rng.sample(range(60), 16), rng.sample(range(60), 16)
    fields: dict[str, Operand] = {"repeat": 2, "dst_va": 2, "dst_rep": 64, "src_va": 6, "src_rep": 1}
    fields |= {"dst_high": high[0], "src_high": high[1]} if dtype == "u8" else {}
    records = [set_va(2, to[:8]), set_va(3, to[8:]), set_va(6, source[:8]), set_va(7, source[8:]),
               Record("scatter_vnchwconv", dtype, [at(0), at(65536)], (), fields)]  # fmt: skip
    got = run_on_ub(records, ub)
    expected = bytearray(ub)
    for r in range(2):
        for i in range(16):
            for j in range(32 // size if size > 1 else 16):
                start = 65536 + (source[i] + r) * 32 + j * size + (16 * high[1] if size == 1 else 0)
                row, column = (2 * j + i // 8, i % 8) if size == 4 else (j, i)
                place = (to[row] + 64 * r) * 32 + column * size + (16 * high[0] if size == 1 else 0)
                expected[place : place + size] = ub[start : start + size]
    assert got == bytes(expected)


def test_repeats_see_what_earlier_ones_wrote() -> None:
    """dst = dst + 1 on the same blocks three times."""
    ub = bytes(256)
    blocks = list(range(8))
    fields: dict[str, Operand] = {"repeat": 3, "dst_va": 0, "dst_rep": 0, "src_va": 0, "src_rep": 0}
    records = [set_va(0, blocks), Record("scatter_vadds", "s32", [at(0), at(0)], [1], fields)]
    assert np.frombuffer(run_on_ub(records, ub), np.int32).tolist() == [3] * 64


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([set_va(0, [9000] * 8), Record("scatter_vabs", "f16", [at(0), at(0)], (), {"repeat": 1, "dst_va": 0, "src_va": 1})],
         "dst: bytes 0x0..0x46520 are outside ub"),
        ([Record("scatter_vabs", "f16", [at(16), at(0)], (), {"repeat": 1, "dst_va": 0, "src_va": 1})],
         "not 32-byte aligned"),
        ([Record("scatter_vnchwconv", "f16", [at(0), at(0)], (), {"repeat": 1, "dst_va": 1, "src_va": 2})],
         "VA1 is not the first register of a pair"),
    ],
)  # fmt: skip
def test_faults(records: list[Record], text: str) -> None:
    with pytest.raises(SimulatorFault, match=text):
        run_on_ub(records, bytes(1024))


SCATTERED = """
vector_dup.f16 ub[0], 0, repeat=4
pipe_barrier pipe=V
set_va0 0x0003000200010000, 0x0007000600050004
set_va1 {0}, {0}
scatter_vabs.f16 ub[0], ub[0], repeat=1, dst_va=1, src_va=0
vrelu.f16 ub[0x800], ub[0], repeat=1
"""


def test_hazards_follow_the_registers() -> None:
    """The last instruction reads blocks 0 to 7: in the way only when VA1 names one of them."""
    assert rules(SCATTERED.format("0x0003000300030003")) == ["RAW"]
    assert rules(SCATTERED.format("0x0010001000100010")) == []
