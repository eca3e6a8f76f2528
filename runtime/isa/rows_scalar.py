"""Scalar unit, control flow, synchronisation and special registers (opcodes 0x00..0x3f).

Control flow is structured (decision D3): LOOP/END, IF/ELSE/END, BREAK; there are no jumps.  Sixty-four 64-bit
registers.  A `loop` with a trip count of 0 or less runs no iteration.  Its index register starts at `start` and grows by
`step`, so that it can be an address that moves along: a chip does the same with the addition that counts.
"""

from __future__ import annotations

from .model import BARRIER_SCOPES, PIPES, Address, Field, Instruction, Scalar

_DST = Scalar("dst", "destination register", register="w")
_A = Scalar("a", "operand")
_B = (Scalar("b", "fp32 bits in bits 31:0"),)
_ISSUE = "scalar"


def _alu(opcode: int, name: str, formula: str, doc: str) -> Instruction:
    return Instruction(
        name,
        opcode,
        "S",
        doc,
        formula,
        scalars=(_DST, _A, Scalar("b", "second operand")),
        timing=_ISSUE,
        family="scalar",
        source="[CSIM] scalar ALU; signed 64-bit, wraps",
    )


def _unary(opcode: int, name: str, formula: str, doc: str) -> Instruction:
    return Instruction(
        name,
        opcode,
        "S",
        doc,
        formula,
        scalars=(_DST, _A),
        timing=_ISSUE,
        family="scalar",
        source="[RT-INI] scalar unit, 64-bit §3.7",
    )


def _control(
    opcode: int, name: str, doc: str, formula: str, scalars: tuple[Scalar, ...] = (), fault: str = ""
) -> Instruction:
    return Instruction(
        name,
        opcode,
        "S",
        doc,
        formula,
        scalars=scalars,
        timing=_ISSUE,
        family="control",
        source="decision D3",
        faults=(fault,),
    )


def _state(
    opcode: int,
    name: str,
    doc: str,
    scalars: tuple[Scalar, ...] = (),
    fields: tuple[Field, ...] = (),
    timing: str = "set_register",
    source: str = "[CSIM][ASC] §3.8",
    intrinsic: str = "",
    faults: tuple[str, ...] = (),
) -> Instruction:
    return Instruction(
        name,
        opcode,
        "S",
        doc,
        "; ".join(f"{name} = operand" for name in (spec.name for spec in (*scalars, *fields))),
        scalars=scalars,
        fields=fields,
        intrinsic=intrinsic,
        timing=timing,
        family="state",
        source=source,
        faults=faults,
    )


_PIPE = Field("pipe", 0, 7, choices=BARRIER_SCOPES, doc="pipe; the core must have it")
_SRC = Field("src", 0, 6, choices=PIPES, doc="pipe that sets; the core must have it")
_TO = Field("dst", 0, 6, choices=PIPES, doc="pipe that waits; the core must have it")
_EVENT = Field("event", 0, 15, doc="event id; how many are usable is in the SoC file")

_CONDITION = Scalar("condition", "0 = no")
_PAIRS = "no open block that it closes"
_DEEP = "more than 16 loops and ifs inside each other, or one that is never closed"

SCALAR_ROWS: tuple[Instruction, ...] = (
    _control(0x00, "end", "ends the kernel", "stop", fault="not the last record, or not the only `end`"),
    _control(
        0x01,
        "loop",
        "repeats up to the matching end_loop",
        "for i < trip: index = start + i · step; body",
        (
            Scalar("index", "start + iteration · step, wraps", register="w"),
            Scalar("trip", "iterations; 0 or less: none"),
            Scalar("start", "index of the first iteration", default=0),
            Scalar("step", "what each iteration adds", default=1),
        ),
        _DEEP,
    ),
    _control(0x02, "end_loop", "closes the innermost loop", "i + 1 < trip: back to the body", fault=_PAIRS),
    _control(
        0x03,
        "break_if",
        "leaves the innermost loop when the value is not 0",
        "condition ≠ 0: go on behind end_loop",
        (_CONDITION,),
        "outside a loop",
    ),
    _control(
        0x04,
        "if",
        "runs the block when the value is not 0",
        "condition = 0: go on behind else or end_if",
        (_CONDITION,),
        _DEEP,
    ),
    _control(0x05, "else", "starts the other branch", "go on behind end_if", fault=_PAIRS),
    _control(0x06, "end_if", "closes the innermost if", "nothing", fault=_PAIRS),
    Instruction(
        "mov",
        0x08,
        "S",
        "copies a value",
        "dst = a",
        scalars=(_DST, _A),
        timing=_ISSUE,
        family="scalar",
        source="[CSIM] scalar unit",
    ),
    _alu(0x09, "add", "dst = a + b", "sum"),
    _alu(0x0A, "sub", "dst = a - b", "difference"),
    _alu(0x0B, "mul", "dst = a * b", "product"),
    _alu(0x0C, "div", "dst = floor(a / b), 0 when b = 0", "floor quotient"),
    _alu(0x0D, "rem", "dst = a - b * floor(a / b), 0 when b = 0", "remainder of floor division"),
    _alu(0x0E, "min", "dst = min(a, b)", "minimum"),
    _alu(0x0F, "max", "dst = max(a, b)", "maximum"),
    _alu(0x10, "and", "dst = a & b", "bitwise and"),
    _alu(0x11, "or", "dst = a | b", "bitwise or"),
    _alu(0x12, "xor", "dst = a ^ b", "bitwise exclusive or"),
    _alu(0x13, "shl", "dst = a << (b & 63)", "left shift"),
    _alu(0x14, "shr", "dst = a >> (b & 63), arithmetic", "right shift"),
    _alu(0x15, "lt", "dst = 1 if a < b else 0", "comparison"),
    _alu(0x16, "eq", "dst = 1 if a = b else 0", "comparison"),
    _unary(0x28, "abs", "dst = |a|, wraps for the lowest number", "absolute value"),
    _unary(0x29, "sqrt", "dst = floor(√a), 0 when a < 0", "integer root"),
    _unary(0x2A, "bcnt0", "dst = number of 0 bits of a", "counts zeros"),
    _unary(0x2B, "bcnt1", "dst = number of 1 bits of a", "counts ones"),
    _unary(
        0x2C, "clz", "dst = number of 0 bits above the highest 1 bit of a, 64 when a = 0", "leading zeros"
    ),
    Instruction(
        "block_idx",
        0x18,
        "S",
        "index of this block",
        "dst = block_idx",
        scalars=(_DST,),
        timing=_ISSUE,
        family="scalar",
        source="[ASC] GetBlockIdx",
    ),
    Instruction(
        "block_num",
        0x19,
        "S",
        "number of blocks of the task",
        "dst = block_num",
        scalars=(_DST,),
        timing=_ISSUE,
        family="scalar",
        source="[ASC] GetBlockNum",
    ),
    Instruction(
        "arg",
        0x1A,
        "S",
        "reads a kernel argument: a GM address or a size",
        "dst = args[number]",
        scalars=(_DST,),
        fields=(Field("number", 0, 255, "", "which argument"),),
        faults=("`number` is not below the argument count of the kernel",),
        timing=_ISSUE,
        family="scalar",
        source="decision D17",
    ),
    Instruction(
        "load_scalar",
        0x1B,
        "S",
        "scalar load",
        "dst = sign-extended word of `bytes` bytes",
        scalars=(_DST,),
        addresses=(Address("src", "r", ("gm", "ub")),),
        fields=(Field("bytes", 1, 8, "B"),),
        timing="scalar_load",
        family="scalar",
        source="[PYPTO] scalar ld",
    ),
    Instruction(
        "store_scalar",
        0x1C,
        "S",
        "scalar store",
        "word of `bytes` bytes = a",
        scalars=(Scalar("a", "its low bytes are stored"),),
        addresses=(Address("dst", "w", ("gm", "ub")),),
        fields=(Field("bytes", 1, 8, "B"),),
        timing="scalar_store",
        family="scalar",
        source="[PYPTO] scalar st",
    ),
    *(
        Instruction(
            name,
            opcode,
            "S",
            doc,
            f"dst = {register}",
            scalars=(_DST,),
            intrinsic=name,
            timing=_ISSUE,
            family="scalar",
            source=source,
            reads=(register,),
            faults=("no flag from V to S behind the instruction that wrote the register",),
        )
        for opcode, name, register, doc, source in (
            (
                0x23,
                "get_rsvd_cnt",
                "RSVD_CNT",
                "how many elements vreduce or vreducev kept",
                "[ASC GatherMask] §3.8",
            ),
            (
                0x24,
                "get_max_min_cnt",
                "MAX_MIN_CNT",
                "the value that vcmax or vcmin found; bits 63:32 are 0",
                "[ASC GetReduceMaxMinCount][ASC-IMPL dav_m200]",
            ),
            (
                0x25,
                "get_vms4_sr",
                "VMS4_SR",
                "proposals that vmrgsort4 took of list 0 (bits 12:0), 1 (25:13), 2 (38:26) and 3 (51:39)",
                "[ASC GetMrgSortResult][ASC-IMPL dav_m200]",
            ),
        )
    ),
    *(
        Instruction(
            name,
            opcode,
            "S",
            doc,
            formula,
            scalars=(_DST, Scalar("a", "fp32 bits in bits 31:0"), *more),
            types=("f32",),
            intrinsic=intrinsic,
            timing=_ISSUE,
            family="scalar",
            source="[RT-INI] scalar unit, f32 §3.7; NaN rules as the vector unit's",
        )
        for opcode, name, intrinsic, doc, formula, more in (
            (0x3B, "fabs", "abs", "fp32 absolute value", "dst = |a|", ()),
            (0x3C, "fsqrt", "sqrt", "fp32 root", "dst = √a, correctly rounded, nan when a < 0", ()),
            (0x3D, "fmax", "max", "fp32 maximum", "dst = max(a, b), nan when one is nan", _B),
            (0x3E, "fmin", "min", "fp32 minimum", "dst = min(a, b), nan when one is nan", _B),
        )
    ),
    Instruction(
        "set_flag",
        0x20,
        "S",
        "queued on pipe src: sets the flag when all earlier work of src is complete",
        "flag[src][dst][event] = 1",
        fields=(_SRC, _TO, _EVENT),
        timing="flag",
        family="sync",
        source="[CSIM][ASC] §2.3",
        faults=("setting a flag that is set", "a flag left set at the end of the kernel"),
    ),
    Instruction(
        "wait_flag",
        0x21,
        "S",
        "queued on pipe dst: holds everything behind it until the flag is set, then clears it",
        "flag[src][dst][event] = 0",
        fields=(_SRC, _TO, _EVENT),
        timing="flag",
        family="sync",
        source="[CSIM][ASC] §2.3",
        faults=("no set before the wait in program order",),
    ),
    Instruction(
        "pipe_barrier",
        0x22,
        "S",
        "later instructions of the pipe start after all earlier ones are complete",
        "start(each later instruction of the pipe) ≥ end(each earlier one)",
        fields=(_PIPE,),
        timing="barrier",
        family="sync",
        source="[ASC] PipeBarrier §2.4",
    ),
    _state(
        0x30,
        "set_vector_mask",
        "lane mask of vector instructions: bit i of hi:lo is lane i",
        (Scalar("mask_hi", "lanes 127..64"), Scalar("mask_lo", "lanes 63..0")),
        timing="set_mask",
    ),
    _state(
        0x31,
        "set_mask_count",
        "counter mode: the mask holds the total number of elements; -1 returns to normal mode",
        (Scalar("count", "elements, or -1"),),
        timing="set_mask",
        source="[ASC] SetMaskCount; 310P and 910B only",
        faults=("the chip has no counter mode",),
    ),
    _state(
        0x32,
        "set_fmatrix",
        "geometry of the feature map for load3d",
        fields=(
            Field("fm_width", 1, 32767, "cells", "width of the feature map in L1"),
            Field("fm_height", 1, 32767, "cells", "its height"),
            Field("pad_left", 0, 255, "columns"),
            Field("pad_right", 0, 255, "columns"),
            Field("pad_top", 0, 255, "rows"),
            Field("pad_bottom", 0, 255, "rows"),
        ),
    ),
    _state(
        0x39,
        "set_fmatrix_b",
        "geometry of the feature map for load3d with `fmatrix` 1",
        fields=(
            Field("fmb_width", 1, 32767, "cells", "width of the feature map in L1"),
            Field("fmb_height", 1, 32767, "cells", "its height"),
            Field("fmb_pad_left", 0, 255, "columns"),
            Field("fmb_pad_right", 0, 255, "columns"),
            Field("fmb_pad_top", 0, 255, "rows"),
            Field("fmb_pad_bottom", 0, 255, "rows"),
        ),
        intrinsic="fmatrix_b",
        source="[ASC SetFmatrix] §3.3",
    ),
    _state(
        0x3A,
        "set_l1_3d_size",
        "L1 boundary of load3d: addresses from there on wrap to 0; 32-byte units for load3dv1, bytes for load3d; 0 = off",
        (Scalar("l1_boundary", "0 to L1's size"),),
        source="[ASC SetLoadDataBoundary] §3.3",
    ),
    _state(
        0x33,
        "set_padding",
        "value of load3d elements outside the image",
        fields=(Field("pad_value", 0, 65535, "", "raw 16 bits; for bytes both halves alike"),),
    ),
    _state(
        0x34,
        "set_deqscale",
        "scale of dequantising L0C copies",
        (Scalar("deqscale", "the bits of the register"),),
    ),
    _state(
        0x35,
        "set_atomic",
        "UB→GM copies accumulate",
        fields=(Field("atomic", 0, 18, "", "0 off, else what is added: see the state"),),
    ),
)
