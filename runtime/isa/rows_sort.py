"""Sorting of region proposals (pipe V, all operands in UB; opcodes 0xD0..0xdf).

A proposal is 8 elements: x1, y1, x2, y2, score, label and two more; instructions sort by element 4, the score,
from high to low.  Equal scores keep their order; in a merge the list with the lower number comes first.  NaN counts
as the lowest score: no source says so.
"""

from __future__ import annotations

from .model import Address, Field, Instruction

_DST = Address("dst", "w", ("ub",))
_SRC = Address("src", "r", ("ub",))
_REPEAT = Field("repeat", 0, 255, "16 proposals", "0 = no-op")
_TYPES = ("f16", "f32")
_POSITION = Field("position", 0, 5, "", "number of the element: 4 is the score")


def _move(opcode: int, name: str, doc: str, formula: str) -> Instruction:
    return Instruction(
        name,
        opcode,
        "V",
        doc,
        formula,
        addresses=(_DST, _SRC),
        fields=(_REPEAT, _POSITION),
        types=_TYPES,
        intrinsic=name,
        timing="vconcat",
        family="vector_sort",
        source="[RT-INI][CSIM] §3.7",
    )


SORT_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "vbitsort",
        0xD0,
        "V",
        "sorts each 16 proposals by falling score, stable",
        "dst[16·r … 16·r+15] = proposals src[16·r … 16·r+15] in falling order of element 4",
        addresses=(_DST, _SRC),
        fields=(_REPEAT,),
        types=_TYPES,
        intrinsic="vbitsort",
        timing="vbitsort",
        family="vector_sort",
        source="[CSIM][TIK vrpsort16] §3.7",
        faults=("destination and source overlap",),
    ),
    Instruction(
        "vmrgsort4",
        0xD1,
        "V",
        "merges 2 to 4 sorted lists of proposals",
        "dst = all proposals of the valid lists in falling order of element 4; with `suspend`, up to the moment when a list "
        "is exhausted; repeat r takes the lists 4·r·length behind the first ones",
        addresses=(
            _DST,
            *(
                Address(f"src{i}", "r", ("ub",), f"list {i}, sorted" if i < 2 else f"list {i}, if valid")
                for i in range(4)
            ),
        ),
        fields=(
            Field("repeat", 0, 255, "", "more than 1 only for four equally long lists, one behind the other"),
            *(Field(f"length{i}", 0, 4095, "proposals", default=None if i < 2 else 0) for i in range(4)),
            Field("valid", 0, 15, "", "lists that exist: 3, 7 or 15", default=15),
            Field("suspend", 0, 1, "", "1: stop when a list is exhausted", default=0),
        ),
        types=_TYPES,
        intrinsic="vmrgsort4",
        timing="vmrgsort4",
        family="vector_sort",
        source="[CSIM][TIK vmrgsort4] §3.7",
        writes=("VMS4_SR",),
        faults=(
            "`valid` is not 3, 7 or 15",
            "repeats of lists of different lengths",
            "destination and source overlap",
        ),
    ),
    _move(
        0xD2,
        "vconcat",
        "writes one element of each 16 proposals",
        "proposal dst[i].element[position] = src[i], i < 16·repeat",
    ),
    _move(
        0xD3,
        "vextract",
        "reads one element of each 16 proposals",
        "dst[i] = proposal src[i].element[position], i < 16·repeat",
    ),
)
