"""The vector core of split chips: what its vector unit has beyond that of the coupled chips (opcodes 0xe8..0xef).

Sorting works on records of 8 bytes, a score in the low word (an f16 score in its low half) and a 32-bit index in the
high word, instead of proposals of eight elements.
"""

from __future__ import annotations

from .model import Address, Field, Instruction

_DST = Address("dst", "w", ("ub",))
_SRC = Address("src", "r", ("ub",))
_REPEAT = Field("repeat", 0, 255, "", "0 = no-op")
_WORDS = ("f16", "f32", "s16", "s32", "u16", "u32")
_FLOAT = ("f16", "f32")
_BLOCKS = (Field("dst_blk", 0, 255, "32 B", default=1), Field("dst_rep", 0, 255, "32 B", default=8))

SPLIT_VCONV_TYPES = (
    "bf162f32",
    *(f"bf162s32{suffix}" for suffix in "acfrz"),
    *(f"f162s16{suffix}" for suffix in "acfz"),
    "f162s8r",
    "f162u8r",
    *(f"f322bf16{suffix}" for suffix in "acfrz"),
    *(f"f322f16{suffix}" for suffix in "acfrz"),
    *(f"f322f32{suffix}" for suffix in "acfrz"),
    *(f"f322s16{suffix}" for suffix in "acf"),
    *(f"f322s64{suffix}" for suffix in "acfrz"),
    *(f"s162f16{suffix}" for suffix in "acfrz"),
    *(f"s322f32{suffix}" for suffix in "acfrz"),
    "s322s16",
    "s322s64",
    *(f"s642f32{suffix}" for suffix in "acfrz"),
    "s642s32",
)
"""Conversions that only the split chips list [RT-INI]."""

SPLIT_VECTOR_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "vbrcb",
        0xE8,
        "V",
        "fills a block with each of 8 elements per repeat; the mask is ignored",
        "block j of repeat r of dst = src[8·r + j] in all its elements, j < 8",
        addresses=(_DST, _SRC),
        fields=(_REPEAT, *_BLOCKS),
        types=_WORDS,
        intrinsic="vbrcb",
        timing="vbrcb",
        family="vector_split",
        source="[ASC Brcb] §3.7",
        faults=("source not 32-byte aligned", "destination and source overlap"),
    ),
    Instruction(
        "vcopy",
        0xE9,
        "V",
        "strided copy of active lanes",
        "dst = src",
        addresses=(_DST, _SRC),
        fields=(
            _REPEAT,
            Field("dst_blk", 0, 65535, "32 B", default=1),
            Field("src_blk", 0, 65535, "32 B", default=1),
            Field("dst_rep", 0, 255, "32 B", default=8),
            Field("src_rep", 0, 255, "32 B", default=8),
        ),
        state=("mask", "count"),
        types=_WORDS,
        intrinsic="vcopy",
        timing="vcopy",
        family="vector_unary",
        source="[ASC Copy] §3.7",
    ),
    Instruction(
        "vgatherb",
        0xEA,
        "V",
        "gathers blocks by byte offset; the mask is ignored",
        "block j of repeat r of dst = 32 bytes at src + offset[8·r + j], j < 8",
        addresses=(
            _DST,
            Address("offset", "r", ("ub",), "u32 byte offsets, multiples of 32"),
            Address("src", "r", ("ub",), "table base; extent = table size"),
        ),
        fields=(_REPEAT, *_BLOCKS),
        types=_WORDS,
        intrinsic="vgatherb",
        timing="vgatherb",
        family="vector_split",
        source="[ASC Gatherb] §3.7",
        faults=("an offset that is no multiple of 32, or leaves UB",),
    ),
    Instruction(
        "vbitsort32",
        0xEB,
        "V",
        "sorts each 32 scores by falling value, stable, and makes records of them",
        "dst record i of repeat r = (score, index) of the element with rank i among src[32·r … 32·r+31]",
        addresses=(_DST, _SRC, Address("index", "r", ("ub",), "u32, passed on with its score")),
        fields=(Field("repeat", 0, 255, "32 elements", "0 = no-op"),),
        types=_FLOAT,
        intrinsic="vbitsort32",
        timing="vbitsort32",
        family="vector_split",
        source="[ASC Sort32] §3.7; nan counts as the lowest score: no source says so",
        faults=("destination and source overlap",),
    ),
    Instruction(
        "vmrgsort4v2",
        0xEC,
        "V",
        "merges 2 to 4 sorted lists of records",
        "dst = all records of the valid lists in falling order of the score; with `suspend`, up to the moment when a list is "
        "exhausted; repeat r takes the lists 4·r·length behind the first ones",
        addresses=(
            _DST,
            *(
                Address(f"src{i}", "r", ("ub",), f"list {i}, sorted" + ("" if i < 2 else ", if valid"))
                for i in range(4)
            ),
        ),
        fields=(
            Field("repeat", 0, 255, "", "more than 1 only for four equally long lists, one behind the other"),
            *(Field(f"length{i}", 0, 4095, "records", default=None if i < 2 else 0) for i in range(4)),
            Field("valid", 0, 15, "", "lists that exist: 3, 7 or 15", default=15),
            Field("suspend", 0, 1, "", "1: stop when a list is exhausted", default=0),
        ),
        types=_FLOAT,
        intrinsic="vmrgsort4v2",
        timing="vmrgsort4v2",
        family="vector_split",
        source="[ASC MrgSort] §3.7",
        faults=(
            "`valid` is not 3, 7 or 15",
            "repeats of lists of different lengths",
            "destination and source overlap",
        ),
    ),
    Instruction(
        "vreducev2",
        0xED,
        "V",
        "compresses: keeps lanes by a bit tensor (pattern 0), 1 even, 2 odd, 3..6 one of every four, 7 all; packed output",
        "dst = packed active lanes of src with pattern bit",
        addresses=(
            _DST,
            _SRC,
            Address("bits", "r", ("ub",), "one bit per lane, LSB first; read when pattern = 0"),
        ),
        fields=(
            _REPEAT,
            Field(
                "pattern",
                0,
                7,
                "",
                "which lanes: by bits (0), every second (1, 2), every fourth (3..6), all (7)",
            ),
            Field("src_blk", 0, 255, "32 B", default=1),
            Field("src_rep", 0, 255, "32 B", default=8),
            Field("bits_rep", 0, 255, "32 B", "distance of the bits of two repeats", default=1),
        ),
        state=("mask", "count"),
        types=_WORDS,
        intrinsic="vreducev2",
        timing="vreducev2",
        family="vector_split",
        source="[ASC GatherMask] §3.7",
    ),
)
