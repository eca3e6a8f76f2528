"""Several cores of a split chip (opcodes 0xe0..0xe7): cube cores (AIC) and vector cores (AIV) in groups of one and two.

Cores share device memory only.  Each core has a counter per flag id.  `ffts_cross_core_sync` is queued on a pipe; when
all earlier work of that pipe is complete, it counts as this core's set; when all cores that the mode names have set,
the counter of every target goes up by one.  `wait_flag_dev` stops the scalar unit, and so everything dispatched later,
until the counter is not 0, and takes one off.  A block is one group: `block_idx` is its number on all its cores.
"""

from __future__ import annotations

from .model import PIPES, Field, Instruction, Scalar

CROSS_MODES = ("all", "vectors", "group")

CROSS_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "ffts_cross_core_sync",
        0xE0,
        "S",
        "queued on a pipe: this core's set of a flag for other cores, when all earlier work of the pipe is complete",
        "mode all: cores of this type in all blocks set, each of them gets one; vectors: the vector cores of the block; "
        "group: the cube core sets, its vector cores get one each; or all its vector cores set, the cube core gets one",
        fields=(
            Field("pipe", 0, 6, choices=PIPES, doc="pipe; S is not possible"),
            Field("mode", 0, 2, choices=CROSS_MODES),
            Field("flag", 0, 15, doc="flag id; how many are usable is in the SoC file"),
        ),
        timing="cross",
        family="cross",
        source="[ASC CrossCoreSetFlag][ASC-IMPL dav_c220] §2.5",
        faults=(
            "pipe S, or one that the core does not have",
            "more pending sets of a flag than its counter holds (15)",
            "mode vectors or group in a kernel that has no such cores",
            "a flag left set at the end of the kernel",
        ),
    ),
    Instruction(
        "wait_flag_dev",
        0xE1,
        "S",
        "stops the scalar unit until another core's flag is set, then takes one off its counter",
        "counter[flag] -= 1 as soon as it is not 0",
        fields=(Field("flag", 0, 15, doc="flag id"),),
        timing="cross",
        family="cross",
        source="[ASC CrossCoreWaitFlag] §2.5",
        faults=("deadlock: no core that still runs can set the flag",),
    ),
    Instruction(
        "sub_block_idx",
        0xE2,
        "S",
        "number of this vector core in its block; 0 on a cube core",
        "dst = 0 or 1",
        scalars=(Scalar("dst", "destination register", register="w"),),
        timing="scalar",
        family="scalar",
        source="[ASC GetSubBlockIdx] §3.8",
    ),
)
