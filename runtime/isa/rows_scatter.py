"""Vector instructions on blocks that lie anywhere (pipe V, all operands in UB; opcodes 0x100..0x13f).

A VA register holds eight block numbers of 16 bits.  Block i of repeat r of an operand lies at byte
`address + (VA[i] + r·rep)·32`; lanes, mask and counter mode are those of the instruction without `scatter_`.  On the
chip the entries are addresses; here they count from the operand's address, which is 0 for absolute numbers.  Repeats
run one after the other.  Instructions whose operands differ in width are absent: nothing says how the narrow one
lies in its blocks.  [CSIM generic_unary_va, generic_binary_va; TIK scatter_*] §3.7
"""

from __future__ import annotations

from dataclasses import replace

from .model import Address, Field, Instruction, Scalar
from .rows_vector import VECTOR_ROWS

VA_REGISTERS = tuple(f"va{number}" for number in range(8))
_PLAIN = {row.mnemonic: row for row in VECTOR_ROWS}
_REPEAT = Field("repeat", 0, 255, "", "0 = no-op")
_SOURCE = "[CSIM generic_*_va][TIK scatter_*] §3.7"
_MIXED = "f32f16f16"


def _operand(name: str) -> tuple[Field, Field]:
    return (
        Field(f"{name}_va", 0, 7, "", f"VA register with the blocks of {name}"),
        Field(f"{name}_rep", 0, 65535, "32 B", default=8),
    )


def _scattered(number: int, name: str) -> Instruction:
    plain = _PLAIN[name]
    names = [address.name for address in plain.addresses]
    condition = tuple(field for field in plain.fields if field.name == "condition")
    each = (pair for operand in names for pair in _operand(operand))
    fields = (*condition, *(() if name == "vcmp" else (_REPEAT,)), *each)
    return replace(
        plain,
        mnemonic=f"scatter_{name}",
        opcode=0x110 + number,
        doc=f"{name} on the blocks of VA registers",
        addresses=tuple(replace(address, doc="VA entries count from here") for address in plain.addresses),
        fields=tuple(f for f in fields if name != "vcmp" or not f.name.endswith("_rep")),
        state=(*plain.state, *VA_REGISTERS),
        types=tuple(kind for kind in plain.types if kind != _MIXED),
        intrinsic=f"scatter_{name}",
        family="vector_scatter",
        source=_SOURCE,
        faults=("a block outside UB",),
    )


_NAMES = (
    "vabs", "vadd", "vadds", "vaxpy", "vcmp", "vdiv", "vexp", "vln", "vmadd", "vmaddrelu", "vmax", "vmaxs", "vmin",
    "vmins", "vmla", "vmul", "vmuls", "vrec", "vrelu", "vrsqrt", "vsel", "vsqrt", "vsub",
)  # fmt: skip

SCATTER_ROWS: tuple[Instruction, ...] = (
    *(
        Instruction(
            f"set_va{number}",
            0x100 + number,
            "S",
            f"block numbers of VA{number}, 16 bits each: entries 0..3 and 4..7, the lowest bits first",
            f"VA{number}[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high",
            scalars=(Scalar(f"va{number}_low", "entries 0..3"), Scalar(f"va{number}_high", "entries 4..7")),
            intrinsic="scatter_vabs",
            timing="set_register",
            family="state",
            source="[CSIM set_va_reg_sb] §3.8",
        )
        for number in range(8)
    ),
    *(_scattered(number, name) for number, name in enumerate(_NAMES)),
    Instruction(
        "scatter_vector_mov",
        0x130,
        "V",
        "copies active lanes between blocks of VA registers",
        "dst = src",
        addresses=(Address("dst", "w", ("ub",), "VA entries count from here"),
                   Address("src", "r", ("ub",), "VA entries count from here")),
        fields=(_REPEAT, *_operand("dst"), *_operand("src")),
        state=("mask", "count", *VA_REGISTERS),
        types=("f16", "s16", "u16"),
        intrinsic="scatter_vector_mov",
        timing="vadds",
        family="vector_scatter",
        source=_SOURCE,
        faults=("a block outside UB",),
    ),
    Instruction(
        "scatter_vnchwconv",
        0x131,
        "V",
        "vnchwconv whose rows 0..7 and 8..15 are the blocks of two neighbouring VA registers",
        "as vnchwconv, row i at address + (VA[va + i // 8][i % 8] + r·rep)·32",
        addresses=(Address("dst", "w", ("ub",), "VA entries count from here"),
                   Address("src", "r", ("ub",), "VA entries count from here")),
        fields=(
            _REPEAT,
            *_operand("dst"),
            *_operand("src"),
            Field("dst_high", 0, 1, "", "b8: write the upper half block", default=0),
            Field("src_high", 0, 1, "", "b8: read the upper half block", default=0),
        ),
        state=VA_REGISTERS,
        types=_PLAIN["vnchwconv"].types,
        intrinsic="scatter_vnchwconv",
        timing="vnchwconv",
        family="vector_transpose",
        source="[CSIM][ASC TransDataTo5HD] §3.7",
        faults=("a VA register that is not the first of a pair", "a block outside UB"),
    ),
)  # fmt: skip
