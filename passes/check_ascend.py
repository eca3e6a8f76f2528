"""Pass check-ascend."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import ascend, nn
from ..dialects.ascend import Engine
from ..dialects.layouts import ROW_MAJOR, Format
from .check_nn import check_body, describe, fail
from .rewriting import main_block, users

BLOCKED_TYPES = frozenset({"f16", "bf16", "f32", "i8"})


@dataclass(frozen=True)
class CheckAscendPass(ModulePass):
    """What the ascend level promises to the kernel generators; fails with all violations at once.

    * Ops of the main function: constants, `ascend` ops, the return. Model inputs and outputs are dense.
    * A constant with a layout has a blob that ends in `pack` and exactly the bytes of that layout.
    * Convolutions and matmuls have an engine cube and the layouts of `docs/layouts.md`; other groups
      have one layout for all full tensors. AI CPU and sort groups are dense. Blocked formats hold f16, f32 or
      i8 (decision D12).
    * An operand of `concat_view` is the result of a group and has no other home; an output is no piece of
      another tensor.
    """

    name = "check-ascend"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        problems: list[str] = []
        for inner in main_block(op).ops:
            problems += _check_op(inner)
        fail("ascend", problems)


def _check_op(op: Operation) -> list[str]:
    if isinstance(op, nn.ConstantOp):
        return _check_constant(op)
    if isinstance(op, ReturnOp):
        return [text for i, v in enumerate(op.operands) for text in _check_output(i, v)]
    if isinstance(op, ascend.GroupOp):
        where = f'group "{op.label.data}" {list(op.source_names)}'
        found = [*check_body(op.body.block), *_check_group(op), *_check_types(op)]
        return [f"{where}: {text}" for text in found]
    if isinstance(op, ascend.ConcatViewOp):
        return _check_concat(op)
    if isinstance(op, ascend.TransDataOp | ascend.ViewOp | ascend.CopyOp | ascend.SliceViewOp):
        return [f"{describe(op)}: {text}" for text in _check_types(op)]
    return [f"{describe(op)}: expected an op of the ascend level"]


def _check_types(op: Operation) -> list[str]:
    problems: list[str] = []
    for value in (*op.operands, *op.results):
        layout, dtype = ascend.layout_of(value), ascend.dtype_of(value)
        if layout.format not in ROW_MAJOR and dtype not in BLOCKED_TYPES:
            problems.append(f"expected {dtype} to be ND, got {layout}")
    return problems


def _check_constant(op: nn.ConstantOp) -> list[str]:
    wanted, have = ascend.bytes_of(op.output), op.blob.byte_size
    if op.blob.dtype == "bool":
        have = wanted if ascend.shape_of(op.output) == op.blob.shape else have
    if wanted != have:
        return [f"{describe(op)}: expected {wanted} bytes for {op.output.type}, got {have}"]
    dense = ascend.layout_of(op.output).is_dense
    if not dense and op.blob.op != "pack":
        return [f"{describe(op)}: expected a packed blob for {op.output.type}"]
    return []


def _check_output(index: int, value: SSAValue) -> list[str]:
    if not ascend.layout_of(value).is_dense:
        return [f"output {index}: expected ND, got {ascend.layout_of(value)}"]
    root = value
    while isinstance(root.owner, ascend.ViewOp):
        root = root.owner.source
    piece = root
    while isinstance(piece.owner, ascend.ViewOp | ascend.SliceViewOp):
        piece = piece.owner.source
    if isinstance(piece, BlockArgument):
        return []  # an input keeps its bytes for the whole run
    if 0 in ascend.shape_of(value):
        return []  # no bytes
    if isinstance(root.owner, nn.ConstantOp | ascend.SliceViewOp):
        return [f"output {index}: expected memory of its own"]
    if any(isinstance(u, ascend.ConcatViewOp) for u in users(root)):
        return [f"output {index}: expected memory of its own, got a piece of a concatenation"]
    return []


def _check_concat(op: ascend.ConcatViewOp) -> list[str]:
    problems = [f"{describe(op)}: {text}" for text in _check_types(op)]
    for i, piece in enumerate(op.pieces):
        homes = [u for u in users(piece) if isinstance(u, ascend.ConcatViewOp | ReturnOp)]
        if not isinstance(piece.owner, ascend.GroupOp | ascend.TransDataOp) or len(homes) != 1:
            problems.append(f"{describe(op)}: expected operand {i} to be made by a kernel and placed once")
    return problems


def _check_group(op: ascend.GroupOp) -> list[str]:
    formats = {ascend.layout_of(v).format for v in (*op.inputs, *op.outputs)}
    has_product = any(isinstance(o, nn.ConvOp | nn.MatMulOp) for o in op.body.block.ops)
    if has_product != (op.engine_name is Engine.CUBE) and op.engine_name is not Engine.AICPU:
        return [f"expected convolutions and matmuls on the cube, got engine {op.engine.data}"]
    if op.engine_name in (Engine.AICPU, Engine.SORT) and formats != {Format.ND}:
        return [f"expected ND on engine {op.engine.data}, got {', '.join(sorted(formats))}"]
    if op.engine_name is not Engine.CUBE:
        return []
    result = ascend.layout_of(op.outputs[0])
    root = next(o for o in op.body.block.ops if isinstance(o, nn.ConvOp | nn.MatMulOp))
    wanted = Format.NC1HWC0 if isinstance(root, nn.ConvOp) else Format.FRACTAL_NZ
    if result.format is not wanted:
        return [f"expected a result in {wanted}, got {result}"]
    return ["expected f16 or i8 operands" for v in root.operands[:2] if nn.dtype_of(v) not in ("f16", "i8")]
