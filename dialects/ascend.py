"""The `ascend` dialect: where every tensor lies and which engine computes each group.

An Ascend core has no cache in front of its units and each unit wants its operands in one order: the cube
takes feature maps in NC1HWC0 and matrices in FRACTAL_NZ, weights in FRACTAL_Z; the vector unit takes any
order as long as all operands agree; the user's own arrays are row-major. At this level the *logical* shape
stays in the type and the physical format becomes its encoding, so that every change of format is an op that
one can see and count:

* `ascend.trans_data` writes a tensor once more in another format: a kernel, with its cost.
* `ascend.view`, `ascend.slice_view`, `ascend.concat_view` cost nothing: the same bytes under another type, a
  piece of a tensor, or several tensors that were written next to each other (decision D11).
  `layouts.same_bytes` and `layouts.block_start` say when.
* `ascend.group` is what one task will compute: the body of an `nn.group`, the engine that runs it (cube,
  vector, move, sort, attention or AI CPU) and the schedule, which `ascend-choose-schedule` fills in and a
  person may edit.

A tensor without encoding is ND, dense. Block arguments of a group carry logical types without encoding: the
body says what is computed, the operand types say where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    IntegerAttr,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from . import dtypes, layouts
from .ascend_types import (
    EMPTY_SCHEDULE,
    Engine,
    LayoutAttr,
    ScheduleAttr,
    ScheduleValue,
    bytes_of,
    check_tensor,
    dtype_of,
    granules_of,
    layout_of,
    logical,
    physical_shape_of,
    shape_of,
    tensor,
    with_layout,
)
from .layouts import Layout

__all__ = [
    "EMPTY_SCHEDULE",
    "Ascend",
    "ConcatViewOp",
    "CopyOp",
    "Engine",
    "GroupOp",
    "LayoutAttr",
    "ScheduleAttr",
    "ScheduleValue",
    "SliceViewOp",
    "TransDataOp",
    "ViewOp",
    "bytes_of",
    "can_view",
    "dtype_of",
    "granules_of",
    "layout_of",
    "logical",
    "physical_shape_of",
    "piece_offset",
    "rows_end_in_blocks",
    "shape_of",
    "tensor",
    "with_layout",
]

# -------------------------------------------------------------------------------------------------------- ops


@irdl_op_definition
class GroupOp(IRDLOperation):
    """What one task computes. The region holds `nn` ops on logical types and ends with `nn.yield`.

    Operand order is the kernel's argument order: inputs, then constants, then results.
    """

    name = "ascend.group"
    label = prop_def(StringAttr)
    engine = prop_def(StringAttr)
    schedule = prop_def(ScheduleAttr)
    sources = prop_def(ArrayAttr[StringAttr])
    inputs = var_operand_def(TensorType)
    outputs = var_result_def(TensorType)
    body = region_def("single_block")

    traits = traits_def(Pure())

    def __init__(
        self,
        label: str,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        engine: Engine | str,
        body: Region,
        *,
        schedule: ScheduleAttr = EMPTY_SCHEDULE,
        sources: Sequence[str] = (),
    ):
        super().__init__(
            operands=[inputs],
            result_types=[result_types],
            properties={
                "label": StringAttr(label),
                "engine": StringAttr(str(engine)),
                "schedule": schedule,
                "sources": ArrayAttr(StringAttr(s) for s in sources),
            },
            regions=[body],
        )

    @property
    def engine_name(self) -> Engine:
        return Engine(self.engine.data)

    @property
    def source_names(self) -> tuple[str, ...]:
        return tuple(s.data for s in self.sources)

    @property
    def yielded(self) -> tuple[SSAValue, ...]:
        """The body's values that become the results."""
        last = self.body.block.last_op
        assert last is not None
        return tuple(last.operands)

    def verify_(self) -> None:
        if self.engine.data not in {e.value for e in Engine}:
            raise VerifyException(f"expected engine {', '.join(Engine)}, got {self.engine.data}")
        block = self.body.block
        if len(block.args) != len(self.inputs):
            raise VerifyException(f"expected {len(self.inputs)} block arguments, got {len(block.args)}")
        for i, (arg, value) in enumerate(zip(block.args, self.inputs, strict=True)):
            if arg.type != logical(value.type):
                raise VerifyException(f"block argument {i}: expected {logical(value.type)}, got {arg.type}")
        last = block.last_op
        if last is None or last.name != "nn.yield":
            raise VerifyException(
                f"expected nn.yield at the end, got {last.name if last else 'an empty body'}"
            )
        if len(last.operands) != len(self.outputs):
            raise VerifyException(f"expected {len(self.outputs)} yielded values, got {len(last.operands)}")
        for i, (value, result) in enumerate(zip(last.operands, self.outputs, strict=True)):
            if value.type != logical(result.type):
                raise VerifyException(f"result {i}: expected {value.type} and a layout, got {result.type}")
        for i, value in enumerate((*self.inputs, *self.outputs)):
            check_tensor(f"operand {i}" if i < len(self.inputs) else f"result {i - len(self.inputs)}", value)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.label.data)
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(f") engine {self.engine.data} schedule ")
        printer.print_attribute(self.schedule)
        if self.sources.data:
            printer.print_string(" from [")
            printer.print_list(self.sources.data, lambda s: printer.print_string_literal(s.data))
            printer.print_string("]")
        if self.attributes:
            printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> GroupOp:
        label = parser.parse_str_literal()
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_keyword("engine")
        engine = parser.parse_identifier()
        parser.parse_keyword("schedule")
        schedule = parser.parse_attribute()
        if not isinstance(schedule, ScheduleAttr):
            parser.raise_error(f"expected #ascend.schedule<...>, got {schedule}")
        sources: list[str] = []
        if parser.parse_optional_keyword("from"):
            sources = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region()
        parser.parse_punctuation(":")
        position = parser.pos
        typ = parser.parse_function_type()
        inputs = parser.resolve_operands(operands, typ.inputs.data, position)
        op = cls(label, inputs, typ.outputs.data, engine, body, schedule=schedule, sources=sources)
        if attributes is not None:
            op.attributes.update(attributes.data)
        return op


class _OneToOne(IRDLOperation):
    """Operand and result are the same kind of tensor in other places of memory."""

    traits = traits_def(Pure())


def _same_element(source: SSAValue, result: SSAValue) -> None:
    if tensor(source).element_type != tensor(result).element_type:
        raise VerifyException(
            f"expected result of {tensor(source).element_type}, got {tensor(result).element_type}"
        )
    check_tensor("operand", source)
    check_tensor("result", result)


@irdl_op_definition
class TransDataOp(_OneToOne):
    """The same logical tensor written in another layout; a kernel of its own, the cost that layout assignment
    minimises."""

    name = "ascend.trans_data"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, layout: Layout):
        super().__init__(operands=[source], result_types=[with_layout(source.type, layout)])

    def verify_(self) -> None:
        _same_element(self.source, self.result)
        if shape_of(self.source) != shape_of(self.result):
            raise VerifyException(f"expected shape {shape_of(self.source)}, got {shape_of(self.result)}")
        if layout_of(self.source) == layout_of(self.result):
            raise VerifyException(f"expected another layout than {layout_of(self.source)}")


@irdl_op_definition
class ViewOp(_OneToOne):
    """The same bytes as another shape or format: a reshape of the operand, transposed by `perm` first if
    there is one. With `via` the reshape comes first: to the shape `via`, then transposed by `perm` into the
    result.

    The heads of attention are such a view: the columns of a matrix in FRACTAL_NZ lie block by block, so
    `via [197, 12, 64] perm [1, 0, 2]` of [197, 768] is where it was. The result may end earlier than the
    operand: what is left out is padding.
    """

    name = "ascend.view"
    source = operand_def(TensorType)
    via = opt_prop_def(DenseArrayBase.constr(i64))
    perm = opt_prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    assembly_format = "$source (`via` $via^)? (`perm` $perm^)? attr-dict `:` type($source) `->` type($result)"

    def __init__(
        self,
        source: SSAValue,
        result_type: Attribute,
        perm: Sequence[int] | None = None,
        via: Sequence[int] | None = None,
    ):
        properties = {name: _optional_list(value) for name, value in (("perm", perm), ("via", via))}
        super().__init__(operands=[source], properties=properties, result_types=[result_type])

    @property
    def permutation(self) -> tuple[int, ...] | None:
        return None if self.perm is None else tuple(int(i) for i in self.perm.get_values())

    @property
    def via_shape(self) -> tuple[int, ...] | None:
        return None if self.via is None else tuple(int(i) for i in self.via.get_values())

    def verify_(self) -> None:
        _same_element(self.source, self.result)
        if not can_view(self.source.type, self.result.type, self.permutation, self.via_shape):
            raise VerifyException(f"expected the same bytes, got {self.source.type} and {self.result.type}")


Only = TypeVar("Only", bound=Operation)


def only_op(group: GroupOp, kind: type[Only]) -> Only:
    """The one op of a group whose generator takes no others; a body of another form is our own bug."""
    ops = [op for op in group.body.block.ops if op.name.startswith("nn.") and op.name != "nn.yield"]
    if len(ops) != 1 or not isinstance(ops[0], kind):
        raise ValueError(f"expected one {kind.__name__} in the group, got {', '.join(op.name for op in ops)}")
    return ops[0]


def _optional_list(values: Sequence[int] | None) -> Attribute | None:
    return None if values is None else DenseArrayBase.from_list(i64, list(values))


def can_view(
    source: Attribute,
    result: Attribute,
    perm: Sequence[int] | None = None,
    via: Sequence[int] | None = None,
) -> bool:
    """Whether `ascend.view` may turn one tensor type into the other."""
    shape_a, shape_b = shape_of(source), shape_of(result)
    if -1 in (*shape_a, *shape_b):
        return False
    rank = len(shape_a if via is None else via)
    if perm is not None and sorted(perm) != list(range(rank)):
        return False
    size = dtypes.size_of(dtype_of(source))
    a, b = layout_of(source), layout_of(result)
    if via is None:
        return layouts.views_as(a, shape_a, b, shape_b, perm=perm, itemsize=size)
    order = list(range(rank)) if perm is None else list(perm)
    if [via[i] for i in order] != list(shape_b):
        return False
    back = [order.index(i) for i in range(rank)]
    fits = b.elements(shape_b, size) <= a.elements(shape_a, size)
    return fits and layouts.same_order(b, shape_b, a, shape_a, perm=back, itemsize=size)


@irdl_op_definition
class CopyOp(_OneToOne):
    """The same bytes in memory of their own, copied by the runtime (a MEMCPY_ASYNC task): a model output that
    is a constant."""

    name = "ascend.copy"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue):
        super().__init__(operands=[source], result_types=[source.type])

    def verify_(self) -> None:
        if self.source.type != self.result.type:
            raise VerifyException(f"expected one type, got {self.source.type} and {self.result.type}")


@irdl_op_definition
class SliceViewOp(_OneToOne):
    """A contiguous piece of a tensor, at a byte offset that follows from `starts`; extents are the result's
    shape."""

    name = "ascend.slice_view"
    source = operand_def(TensorType)
    starts = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    assembly_format = "$source `starts` $starts attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, starts: Sequence[int], result_type: Attribute):
        super().__init__(
            operands=[source],
            properties={"starts": DenseArrayBase.from_list(i64, list(starts))},
            result_types=[result_type],
        )

    @property
    def start_indices(self) -> tuple[int, ...]:
        return tuple(int(i) for i in self.starts.get_values())

    @property
    def byte_offset(self) -> int:
        """Where the piece begins in its source."""
        offset = piece_offset(self.source.type, self.start_indices, self.result.type)
        assert offset is not None, "verified"
        return offset

    def verify_(self) -> None:
        _same_element(self.source, self.result)
        _check_piece("result", self.source.type, self.start_indices, self.result.type)


@irdl_op_definition
class ConcatViewOp(IRDLOperation):
    """Operands that were written side by side: the planner gives them the result's memory, so nothing is
    copied.

    Each operand must be free to be placed there: made by a group, and in no other `concat_view`.
    """

    name = "ascend.concat_view"
    pieces = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(type=i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, pieces: Sequence[SSAValue], axis: int, result_type: Attribute):
        super().__init__(
            operands=[pieces], properties={"axis": IntegerAttr(axis, i64)}, result_types=[result_type]
        )

    @property
    def starts(self) -> list[tuple[int, ...]]:
        """Where each operand begins, as an index of the result."""
        axis, rank, position = self.axis.value.data, len(shape_of(self.result)), 0
        out: list[tuple[int, ...]] = []
        for piece in self.pieces:
            out.append(tuple(position if i == axis else 0 for i in range(rank)))
            position += shape_of(piece)[axis]
        return out

    @property
    def byte_offsets(self) -> list[int]:
        """Where each operand begins in the result's memory."""
        offsets = [
            piece_offset(self.result.type, start, piece.type)
            for start, piece in zip(self.starts, self.pieces, strict=True)
        ]
        assert None not in offsets, "verified"
        return [o for o in offsets if o is not None]

    def verify_(self) -> None:
        axis, shape = self.axis.value.data, shape_of(self.result)
        if not 0 <= axis < len(shape):
            raise VerifyException(f"expected axis below {len(shape)}, got {axis}")
        if not self.pieces:
            raise VerifyException("expected at least one operand")
        total = sum(shape_of(piece)[axis] for piece in self.pieces if len(shape_of(piece)) == len(shape))
        if total != shape[axis]:
            raise VerifyException(f"expected operands of {shape[axis]} along axis {axis}, got {total}")
        for i, (start, piece) in enumerate(zip(self.starts, self.pieces, strict=True)):
            _same_element(piece, self.result)
            _check_piece(f"operand {i}", self.result.type, start, piece.type)
            if not rows_end_in_blocks(piece.type):
                raise VerifyException(f"operand {i}: expected rows of whole 32-byte units, got {piece.type}")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.pieces, printer.print_ssa_value)
        printer.print_string(f" axis {self.axis.value.data}")
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> ConcatViewOp:
        operands = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        parser.parse_keyword("axis")
        axis = parser.parse_integer()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        position = parser.pos
        typ = parser.parse_function_type()
        op = cls(parser.resolve_operands(operands, typ.inputs.data, position), axis, typ.outputs.data[0])
        op.attributes.update(attributes)
        return op


def piece_offset(whole: Attribute, starts: Sequence[int], piece: Attribute) -> int | None:
    """Byte offset of a piece inside a whole when it is a contiguous tensor of the same layout, else None."""
    if layout_of(whole) != layout_of(piece) or len(shape_of(whole)) != len(shape_of(piece)):
        return None
    return layouts.block_start(layout_of(whole), shape_of(whole), starts, shape_of(piece), dtype_of(whole))


def rows_end_in_blocks(typ: Attribute) -> bool:
    """A store to this tensor never runs past its end: kernels may write whole 32-byte units row by row
    (decision D8)."""
    layout, shape = layout_of(typ), shape_of(typ)
    if layout.format not in layouts.ROW_MAJOR or not shape:
        return layout.format not in layouts.ROW_MAJOR
    lead = [s for s in shape[:-1] if s > 1]
    row = layout.pitch or shape[-1] * dtypes.size_of(dtype_of(typ))
    return row % layouts.BLOCK_BYTES == 0 if lead else bytes_of(typ) % layouts.BLOCK_BYTES == 0


def _check_piece(what: str, whole: Attribute, starts: Sequence[int], piece: Attribute) -> None:
    if layout_of(whole) != layout_of(piece):
        raise VerifyException(f"{what}: expected layout {layout_of(whole)}, got {layout_of(piece)}")
    limits, extents = shape_of(whole), shape_of(piece)
    if len(starts) != len(limits) or len(extents) != len(limits):
        raise VerifyException(f"{what}: expected rank {len(limits)}, got {len(extents)}")
    if any(s < 0 or s + n > m for s, n, m in zip(starts, extents, limits, strict=True)):
        raise VerifyException(
            f"{what}: expected a piece inside {list(limits)}, got {list(starts)} + {list(extents)}"
        )
    if piece_offset(whole, starts, piece) is None:
        raise VerifyException(
            f"{what}: expected one contiguous piece of whole 32-byte units, "
            f"got {list(starts)} + {list(extents)}"
        )


Ascend = Dialect(
    "ascend",
    [GroupOp, TransDataOp, ViewOp, CopyOp, SliceViewOp, ConcatViewOp],
    [LayoutAttr, ScheduleAttr],
)
