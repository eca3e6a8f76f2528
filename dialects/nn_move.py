"""Ops that only rearrange elements: views where the layout allows, otherwise strided DMA and on-chip
transposes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, StringAttr, TensorType, UnitAttr
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure

from . import nn_shapes
from .nn_attrs import FLOAT, FLOATS, INT, INTS, NNOp
from .nn_elementwise import UnaryOp, Value

RESIZE_MODES = ("nearest", "linear", "cubic")
COORDINATE_MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
PAD_MODES = ("constant", "reflect", "edge", "wrap")


@irdl_op_definition
class ReshapeOp(UnaryOp):
    """Same elements in row-major order, other shape (also squeeze, unsqueeze and flatten)."""

    name = "nn.reshape"
    SHAPE = staticmethod(nn_shapes.reshape)
    RESULT_SHAPE_IS_FREE: ClassVar = True

    def __init__(self, input: Value, shape: Sequence[int]) -> None:
        self._setup([input], shape=shape)


@irdl_op_definition
class TransposeOp(UnaryOp):
    """Axis i of the result is axis perm[i] of the input."""

    name = "nn.transpose"
    SHAPE = staticmethod(nn_shapes.transpose)
    perm = prop_def(INTS)

    def __init__(self, input: Value, perm: Sequence[int]) -> None:
        self._setup([input], {"perm": tuple(perm)})


@irdl_op_definition
class SliceOp(UnaryOp):
    """Element i along an axis is starts + i·steps (steps may be negative); one entry per axis."""

    name = "nn.slice"
    SHAPE = staticmethod(nn_shapes.slice_)
    starts = prop_def(INTS)
    sizes = prop_def(INTS)
    steps = prop_def(INTS)

    def __init__(
        self, input: Value, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int] | None = None
    ) -> None:
        strides = (1,) * len(starts) if steps is None else tuple(steps)
        self._setup([input], {"starts": tuple(starts), "sizes": tuple(sizes), "steps": strides})


@irdl_op_definition
class ConcatOp(NNOp):
    """Operands one after the other along an axis."""

    name = "nn.concat"
    SHAPE = staticmethod(nn_shapes.concat)
    inputs = var_operand_def(TensorType)
    axis = prop_def(INT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, inputs: Sequence[SSAValue], axis: int) -> None:
        self._setup([inputs], {"axis": axis})


@irdl_op_definition
class PadOp(UnaryOp):
    """Adds border elements (negative pads crop); pads = all begins, then all ends."""

    name = "nn.pad"
    SHAPE = staticmethod(nn_shapes.pad)
    WORDS: ClassVar = {"mode": PAD_MODES}
    pads = prop_def(INTS)
    mode = prop_def(StringAttr)
    value: FloatAttr | None = opt_prop_def(FLOAT)

    def __init__(self, input: Value, pads: Sequence[int], mode: str = "constant", value: float = 0.0) -> None:
        fill = float(value) if mode == "constant" else None
        self._setup([input], {"pads": tuple(pads), "mode": mode, "value": fill})


@irdl_op_definition
class ResizeOp(UnaryOp):
    """Resampling to the result's shape.

    `scales` are those of the model (result over input where it gave sizes); the coordinate modes are ONNX's.
    `roi` (begins, then ends) belongs to tf_crop_and_resize, the cubic fields to mode cubic.
    """

    name = "nn.resize"
    SHAPE = staticmethod(nn_shapes.resize)
    RESULT_SHAPE_IS_FREE: ClassVar = True
    WORDS: ClassVar = {"mode": RESIZE_MODES, "coordinate": COORDINATE_MODES, "nearest": NEAREST_MODES}
    mode = prop_def(StringAttr)
    coordinate = prop_def(StringAttr)
    nearest = prop_def(StringAttr)
    scales = prop_def(FLOATS)
    roi: DenseArrayBase | None = opt_prop_def(FLOATS)
    extrapolation: FloatAttr | None = opt_prop_def(FLOAT)
    cubic_coeff: FloatAttr | None = opt_prop_def(FLOAT)
    exclude_outside: UnitAttr | None = opt_prop_def(UnitAttr)
    antialias: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(
        self,
        input: Value,
        shape: Sequence[int],
        *,
        scales: Sequence[float],
        mode: str = "nearest",
        coordinate: str = "half_pixel",
        nearest: str = "round_prefer_floor",
        roi: Sequence[float] | None = None,
        extrapolation: float | None = None,
        cubic_coeff: float | None = None,
        exclude_outside: bool = False,
        antialias: bool = False,
    ) -> None:
        self._setup(
            [input],
            {
                "mode": mode,
                "coordinate": coordinate,
                "nearest": nearest,
                "scales": tuple(float(s) for s in scales),
                "roi": None if roi is None else tuple(float(r) for r in roi),
                "extrapolation": None if extrapolation is None else float(extrapolation),
                "cubic_coeff": None if cubic_coeff is None else float(cubic_coeff),
                "exclude_outside": exclude_outside,
                "antialias": antialias,
            },
            shape=shape,
        )


@irdl_op_definition
class DepthToSpaceOp(UnaryOp):
    """[N, C·b·b, H, W] → [N, C, H·b, W·b]; DCR: the block index is outermost in the channels, CRD:
    innermost.
    """

    name = "nn.depth_to_space"
    SHAPE = staticmethod(nn_shapes.depth_to_space)
    WORDS: ClassVar = {"mode": ("DCR", "CRD")}
    blocksize = prop_def(INT)
    mode = prop_def(StringAttr)

    def __init__(self, input: Value, blocksize: int, mode: str = "DCR") -> None:
        self._setup([input], {"blocksize": blocksize, "mode": mode})


@irdl_op_definition
class SpaceToDepthOp(UnaryOp):
    """[N, C, H·b, W·b] → [N, b·b·C, H, W], the block index outermost in the channels."""

    name = "nn.space_to_depth"
    SHAPE = staticmethod(nn_shapes.space_to_depth)
    blocksize = prop_def(INT)

    def __init__(self, input: Value, blocksize: int) -> None:
        self._setup([input], {"blocksize": blocksize})


@irdl_op_definition
class GatherOp(NNOp):
    """Picks entries of one axis by integer indices (negative ones count from the end)."""

    name = "nn.gather"
    SHAPE = staticmethod(nn_shapes.gather)
    ELEMENT_RULE: ClassVar = "first"
    input = operand_def(TensorType)
    indices = operand_def(TensorType)
    axis = prop_def(INT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, input: Value, indices: Value, axis: int = 0) -> None:
        self._setup([input, indices], {"axis": axis})


@irdl_op_definition
class ExpandOp(UnaryOp):
    """numpy's broadcast_to."""

    name = "nn.expand"
    SHAPE = staticmethod(nn_shapes.expand)
    RESULT_SHAPE_IS_FREE: ClassVar = True

    def __init__(self, input: Value, shape: Sequence[int]) -> None:
        self._setup([input], shape=shape)


@irdl_op_definition
class TileOp(UnaryOp):
    """Each axis repeated as a whole."""

    name = "nn.tile"
    SHAPE = staticmethod(nn_shapes.tile)
    repeats = prop_def(INTS)

    def __init__(self, input: Value, repeats: Sequence[int]) -> None:
        self._setup([input], {"repeats": tuple(repeats)})


@irdl_op_definition
class BitCastOp(UnaryOp):
    """The same bytes read as another element type of the same width."""

    name = "nn.bit_cast"
    ELEMENT_RULE: ClassVar = "any"

    def __init__(self, input: Value, dtype: str) -> None:
        self._setup([input], dtype=dtype)


MOVE_OPS: tuple[type[NNOp], ...] = (
    ReshapeOp, TransposeOp, SliceOp, ConcatOp, PadOp, ResizeOp, DepthToSpaceOp, SpaceToDepthOp, GatherOp,
    ExpandOp, TileOp, BitCastOp,
)  # fmt: skip
"""All ops of this file."""
