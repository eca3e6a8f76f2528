"""The `davinci` dialect: kernels of one DaVinci AI Core, one op per machine instruction.

A core owns byte-addressed memories: GM (device memory), L1, L0A, L0B, L0C and UB.  So buffers are bytes:
`!davinci.buffer<ub, 32768>` is a space and a size, `!davinci.gm` a kernel argument; the data type is a property of
the instruction (decision D1).  An address operand is a buffer plus a byte offset, a constant or the result of one
`davinci.offset`, which is linear in loop variables and values computed before the loop (D2).  Special registers
(mask, FMATRIX, …) are operands of the instruction that reads them until `davinci-materialize-state` (D4).

Structure of a kernel (control flow is `scf.for` and `scf.if`, scalars are `index` with `arith` ops):

    davinci.kernel @conv_7c1e(%x, %w, %y : !davinci.gm) blocks 8 {
      %core = davinci.block_idx
      %slab = davinci.alloc : !davinci.buffer<l1, 64512>
      davinci.copy_gm_to_cbuf %slab, %x[%src], bursts 4, length %rows, src_gap 12, bytes [64512, 100352]
      ...
    }

`davinci.alloc` stands in the block in which a fresh instance of the tile begins: that block is its lifetime, and its
ring (`depth` > 1) advances there (D7).  The instruction ops themselves are generated: `davinci_isa.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, Block, Dialect, ParametrizedAttribute, Region, SSAValue, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    param_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsolatedFromAbove, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from ..runtime.isa.model import SPACES

index = IndexType()
ON_CHIP = tuple(space for space in SPACES if space != "gm")


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """`!davinci.buffer<space, bytes>`: a piece of an on-chip memory."""

    name = "davinci.buffer"
    space: StringAttr = param_def(converter=StringAttr.get)
    size: IntAttr = param_def(converter=IntAttr.get)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            space = parser.parse_identifier("memory space")
            parser.parse_punctuation(",")
            return [StringAttr(space), IntAttr(parser.parse_integer(allow_boolean=False))]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.space.data}, {self.size.data}")

    def verify(self) -> None:
        if self.space.data not in ON_CHIP:
            raise VerifyException(
                f"buffer space: expected one of {', '.join(ON_CHIP)}, got {self.space.data}"
            )
        if self.size.data <= 0:
            raise VerifyException(f"buffer size: expected a positive number of bytes, got {self.size.data}")


@irdl_attr_definition
class GmType(ParametrizedAttribute, TypeAttribute):
    """`!davinci.gm`: a tensor in device memory, passed to the kernel as its address."""

    name = "davinci.gm"


def space_of(value: SSAValue) -> str:
    """The memory space that a buffer or kernel argument lies in."""
    return value.type.space.data if isinstance(value.type, BufferType) else "gm"


def _parse_argument(parser: Parser) -> Parser.Argument:
    """A kernel argument; its location, which `--print-debuginfo` writes, says nothing."""
    argument = parser.parse_argument()
    parser.parse_optional_location()
    return argument


@irdl_op_definition
class KernelOp(IRDLOperation):
    """One kernel: the program that every block of a launch runs.

    Arguments are GM tensors in the order inputs, weights, outputs, workspace (`!davinci.gm`), then sizes (`index`).
    """

    name = "davinci.kernel"
    sym_name = prop_def(SymbolNameConstraint())
    blocks = prop_def(IntegerAttr[I64])
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), NoTerminator())

    def __init__(
        self, name: str, argument_types: Sequence[Attribute], blocks: int, body: Region | None = None
    ) -> None:
        super().__init__(
            properties={"sym_name": StringAttr(name), "blocks": IntegerAttr(blocks, i64)},
            regions=[body or Region(Block(arg_types=argument_types))],
        )

    @classmethod
    def parse(cls, parser: Parser) -> KernelOp:
        name = parser.parse_symbol_name()
        args = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: _parse_argument(parser))
        parser.parse_keyword("blocks")
        blocks = parser.parse_integer()
        attributes = parser.parse_optional_attr_dict_with_keyword()
        region = parser.parse_region(args)
        op = cls(name.data, [], blocks, region)
        if attributes is not None:
            op.attributes.update(attributes.data)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        with printer.in_parens():
            printer.print_list(self.body.block.args, printer.print_block_argument)
        printer.print_string(f" blocks {self.blocks.value.data}")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    def verify_(self) -> None:
        if not 1 <= self.blocks.value.data <= 65535:
            raise VerifyException(f"blocks: expected 1 to 65535, got {self.blocks.value.data}")
        for argument in self.body.block.args:
            if not isinstance(argument.type, GmType | IndexType):
                raise VerifyException(f"kernel argument: expected !davinci.gm or index, got {argument.type}")


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """One task: runs a kernel on `blocks` blocks; operands are the tensors, results the tensors it writes.

    `workspace` gives the byte sizes of scratch tensors that the kernel takes after its outputs.
    """

    name = "davinci.launch"
    kernel = prop_def(SymbolRefAttr)
    inputs = var_operand_def(TensorType)
    outputs = var_result_def(TensorType)
    workspace = prop_def(DenseArrayBase.constr(i64))
    sources = prop_def(ArrayAttr[StringAttr])
    assembly_format = "$kernel `(` $inputs `)` `workspace` $workspace `from` $sources attr-dict `:` functional-type($inputs, $outputs)"

    def __init__(
        self,
        kernel: str,
        inputs: Sequence[SSAValue],
        outputs: Sequence[Attribute],
        workspace: Sequence[int],
        sources: Sequence[str],
    ) -> None:
        super().__init__(
            operands=[inputs],
            result_types=[outputs],
            properties={
                "kernel": SymbolRefAttr(kernel),
                "workspace": DenseArrayBase.from_list(i64, list(workspace)),
                "sources": ArrayAttr([StringAttr(name) for name in sources]),
            },
        )


@irdl_op_definition
class LaunchAicpuOp(IRDLOperation):
    """One task of the AI CPU: a kernel of its library, with settings, and the reason why no AI Core does it."""

    name = "davinci.launch_aicpu"
    kernel = prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    outputs = var_result_def(TensorType)
    settings = prop_def(DictionaryAttr)
    reason = prop_def(StringAttr)
    sources = prop_def(ArrayAttr[StringAttr])
    assembly_format = (
        "$kernel `(` $inputs `)` `settings` $settings `because` $reason `from` $sources attr-dict "
        "`:` functional-type($inputs, $outputs)"
    )

    def __init__(
        self,
        kernel: str,
        inputs: Sequence[SSAValue],
        outputs: Sequence[Attribute],
        settings: Mapping[str, Attribute],
        reason: str,
        sources: Sequence[str],
    ) -> None:
        super().__init__(
            operands=[inputs],
            result_types=[outputs],
            properties={
                "kernel": StringAttr(kernel),
                "settings": DictionaryAttr(dict(settings)),
                "reason": StringAttr(reason),
                "sources": ArrayAttr([StringAttr(name) for name in sources]),
            },
        )


class _CoreQuery(IRDLOperation):
    result = result_def(IndexType)
    traits = traits_def(Pure())
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__(result_types=[index])


@irdl_op_definition
class BlockIdxOp(_CoreQuery):
    """Index of this block, 0 … blocks-1."""

    name = "davinci.block_idx"


@irdl_op_definition
class BlockNumOp(_CoreQuery):
    """Number of blocks of the task."""

    name = "davinci.block_num"


@irdl_op_definition
class AllocOp(IRDLOperation):
    """A buffer whose fresh instance begins each time the enclosing block runs.

    `depth` instances form a ring once `davinci-double-buffer` ran; `address` is the byte offset in the memory once
    `davinci-allocate-buffers` ran.
    """

    name = "davinci.alloc"
    result = result_def(BufferType)
    depth = opt_prop_def(IntegerAttr[I64])
    address = opt_prop_def(IntegerAttr[I64])
    assembly_format = "(`depth` $depth^)? (`at` $address^)? attr-dict `:` type($result)"

    def __init__(self, space: str, size: int, depth: int = 1) -> None:
        super().__init__(
            result_types=[BufferType(space, size)],
            properties={"depth": IntegerAttr(depth, i64) if depth > 1 else None},
        )

    @property
    def ring_depth(self) -> int:
        return self.depth.value.data if self.depth is not None else 1

    def verify_(self) -> None:
        if self.depth is not None and self.depth.value.data < 1:
            raise VerifyException(f"depth: expected at least 1, got {self.depth.value.data}")


@irdl_op_definition
class OffsetOp(IRDLOperation):
    """A byte offset that is linear in index values: `davinci.offset 128 + %i * 512 + %j * 4`.

    `terms[i] * scales[i]`; a scale may itself be a value computed before the loops (a pitch from an argument): then
    the term is written `%j * %pitch` and the pitch stands in `pitches`.
    """

    name = "davinci.offset"
    terms = var_operand_def(IndexType)
    constant = prop_def(IntegerAttr[I64])
    scales = prop_def(DenseArrayBase.constr(i64))
    result = result_def(IndexType)
    traits = traits_def(Pure())

    def __init__(self, constant: int, terms: Sequence[tuple[SSAValue, int]]) -> None:
        super().__init__(
            operands=[[value for value, _ in terms]],
            result_types=[index],
            properties={
                "constant": IntegerAttr(constant, i64),
                "scales": DenseArrayBase.from_list(i64, [scale for _, scale in terms]),
            },
        )

    @property
    def linear(self) -> tuple[int, tuple[tuple[SSAValue, int], ...]]:
        """(constant, ((value, scale), …))."""
        scales = self.scales.get_values()
        return self.constant.value.data, tuple((v, int(s)) for v, s in zip(self.terms, scales, strict=True))

    @classmethod
    def parse(cls, parser: Parser) -> OffsetOp:
        constant = parser.parse_integer()
        terms: list[tuple[SSAValue, int]] = []
        while parser.parse_optional_punctuation("+") is not None:
            value = parser.parse_operand(index)
            parser.parse_punctuation("*")
            terms.append((value, parser.parse_integer()))
        return cls(constant, terms)

    def print(self, printer: Printer) -> None:
        constant, terms = self.linear
        printer.print_string(f" {constant}")
        for value, scale in terms:
            printer.print_string(" + ")
            printer.print_ssa_value(value)
            printer.print_string(f" * {scale}")

    def verify_(self) -> None:
        if len(self.terms) != len(self.scales):
            raise VerifyException(
                f"expected one scale per term, got {len(self.scales)} for {len(self.terms)}"
            )


@irdl_op_definition
class CounterOp(IRDLOperation):
    """A mutable scalar that starts at `start`: the running counter of a ring (made by `davinci-double-buffer`).

    It lives in one register for the whole kernel; `davinci.ring_next` changes it in place.  Uses read its value at
    that point of the program, so it must not be hoisted, copied or folded.  A counter with the attribute `ahead = R`
    starts at 1 and names the slot of ring R that comes next: what is loaded there is used one execution later.
    """

    name = "davinci.counter"
    start = prop_def(IntegerAttr[I64])
    result = result_def(IndexType)
    assembly_format = "$start attr-dict"

    def __init__(self, start: int = 0) -> None:
        super().__init__(result_types=[index], properties={"start": IntegerAttr(start, i64)})


@irdl_op_definition
class RingNextOp(IRDLOperation):
    """`counter = counter + 1 if counter < depth - 1 else 0`: the ring moves on to its next slot."""

    name = "davinci.ring_next"
    counter = operand_def(IndexType)
    depth = prop_def(IntegerAttr[I64])
    assembly_format = "$counter `depth` $depth attr-dict"

    def __init__(self, counter: SSAValue, depth: int) -> None:
        super().__init__(operands=[counter], properties={"depth": IntegerAttr(depth, i64)})


@irdl_op_definition
class InductionOp(IRDLOperation):
    """`start + n · step` in the n-th iteration of the loop around it: a pointer that moves along.

    `start` is computed before the loop, the register lives through all of it.  The `primary` induction of a loop shares
    the machine's loop index, whose start and step it sets; any other costs an addition at the end of each iteration.
    A `carried` one starts at an induction of the loop around whose step it makes itself, iteration by iteration: both are
    one register, which is neither copied before this loop nor added to after it.
    """

    name = "davinci.induction"
    start = operand_def(IndexType)
    step = prop_def(IntegerAttr[I64])
    primary = opt_prop_def(UnitAttr)
    carried = opt_prop_def(UnitAttr)
    result = result_def(IndexType)
    assembly_format = "(`primary` $primary^)? (`carried` $carried^)? $start `step` $step attr-dict"

    def __init__(self, start: SSAValue, step: int, *, primary: bool = False) -> None:
        super().__init__(
            operands=[start],
            result_types=[index],
            properties={"step": IntegerAttr(step, i64), "primary": UnitAttr() if primary else None},
        )

    def verify_(self) -> None:
        loop = self.parent_op()
        if not isinstance(loop, scf.ForOp):
            raise VerifyException("an induction stands in the body of a loop")
        owner = self.start.owner
        home = owner if isinstance(owner, Block) else owner.parent
        while home is not None:
            if home is loop.body.block:
                raise VerifyException("the start of an induction must be known before its loop")
            around = home.parent_op()
            home = around.parent if around is not None else None
        if self.carried is not None:
            self._verify_carried(loop)

    def _verify_carried(self, loop: scf.ForOp) -> None:
        carrier, trip = self.start.owner, loop.ub.owner
        if not isinstance(carrier, InductionOp) or carrier.parent is not loop.parent or carrier.primary:
            raise VerifyException("a carried induction starts at a moving one of the loop around")
        if self.primary is not None:
            raise VerifyException("a carried induction is no loop index")
        count = trip.value if isinstance(trip, arith.ConstantOp) else None
        count = count.value.data if isinstance(count, IntegerAttr) else None
        if count is None or carrier.step.value.data != count * self.step.value.data:
            raise VerifyException("a carried induction makes the step of the one it starts at")


@irdl_op_definition
class BreakIfOp(IRDLOperation):
    """Leaves the innermost loop when the condition is not 0."""

    name = "davinci.break_if"
    condition = operand_def(IndexType)
    assembly_format = "$condition attr-dict"
    IN_LOOP: ClassVar[bool] = True

    def __init__(self, condition: SSAValue) -> None:
        super().__init__(operands=[condition])


STRUCTURE_OPS = [
    KernelOp,
    LaunchOp,
    LaunchAicpuOp,
    BlockIdxOp,
    BlockNumOp,
    AllocOp,
    OffsetOp,
    CounterOp,
    RingNextOp,
    InductionOp,
    BreakIfOp,
]


def _dialect() -> Dialect:
    from .davinci_isa import INSTRUCTION_OPS

    return Dialect("davinci", [*STRUCTURE_OPS, *INSTRUCTION_OPS], [BufferType, GmType])


DAVINCI = _dialect()

__all__ = ["DAVINCI", "HasParent", "UnitAttr"]
