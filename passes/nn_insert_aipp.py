"""Pass nn-insert-aipp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp, UnitAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ..dialects import nn
from ..dialects.blobs import Blob
from ..dialects.nn_attrs import EXACT
from ..dialects.nn_shapes import Shape
from .aipp_config import FORMATS, AippOp, bad, parse_aipp
from .rewriting import main_block, main_function

BYTE_MAX = 255.0
FRACTION = 1.0 / 256.0
"""Colour matrices are in units of 1/256."""
WHOLE = 1.5 * 2.0**23
"""An f32 of this size has no fractions: adding it rounds to the nearest whole number, taking it away again leaves that."""


@dataclass(frozen=True)
class NNInsertAippPass(ModulePass):
    """Compute what an AIPP configuration describes on the device: the input becomes the picture as bytes.

    before  func @main(%image : tensor<1x3x224x224xf32>) { … }
    after   func @main(%image : tensor<1x256x256x3xui8>) {       // config="aipp_op { … crop: true … mean_chn_0: 124 … }"
              %0 = nn.slice %image starts [0, 16, 16, 0] sizes [1, 224, 224, 3] ; %1 = nn.transpose %0 perm [0, 3, 1, 2]
              %2 = nn.cast %1 : f32 ; %3 = nn.sub %2, %mean ; %4 = nn.mul %3, %scale ; … }

    Order: channels are swapped, the picture is cropped, colours are converted, the picture is resized (bilinear, pixel
    centres at halves), normalised, padded. Colours are converted in f32 and rounded down to whole numbers of 0 to 255, so
    that they are the same as in integers; what stands behind them is as exact as the model's own arithmetic.
    """

    name = "nn-insert-aipp"

    config: str
    """Text of the configuration."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        for aipp in parse_aipp(self.config):
            _insert(block, aipp)
        last = block.last_op
        assert last is not None
        types = [a.type for a in block.args], [v.type for v in last.operands]
        main_function(op).properties["function_type"] = FunctionType.from_lists(*types)


def _insert(block: Block, aipp: AippOp) -> None:
    if aipp.related_input_rank >= len(block.args):
        raise bad(
            f"related_input_rank is {aipp.related_input_rank}",
            f"below {len(block.args)}, the number of inputs",
        )
    argument = block.args[aipp.related_input_rank]
    wanted, dtype = nn.shape_of(argument), nn.dtype_of(argument)
    if len(wanted) != 4 or dtype not in ("f32", "f16"):
        raise bad(
            f"the input has shape {list(wanted)} and type {dtype}", "a picture, N × C × H × W, of floats"
        )
    height, width = _source_size(aipp, wanted)
    uses = [(use.operation, use.index) for use in argument.uses]
    new = Rewriter.replace_value_with_new_type(
        argument, nn.tensor_type(_source_shape(aipp, wanted, height, width), "u8")
    )
    steps = _Steps(block, uses[0][0] if uses else None)
    value = steps.normalise(steps.resize(steps.colours(new, aipp, height, width), aipp), aipp, wanted)
    value = steps.pad(value, aipp)
    found = nn.shape_of(value)
    if found != wanted:
        raise bad(
            f"the picture becomes {' × '.join(map(str, found))} (N × C × H × W)",
            f"{' × '.join(map(str, wanted))}, the model's input: see crop, resize and padding sizes and the format",
        )
    value = value if dtype == "f32" else steps.add(nn.CastOp(value, dtype))
    for user, position in uses:
        user.operands[position] = value


def _source_size(aipp: AippOp, wanted: Shape) -> tuple[int, int]:
    return (aipp.src_image_size_h or wanted[2]), (aipp.src_image_size_w or wanted[3])


def _source_shape(aipp: AippOp, wanted: Shape, height: int, width: int) -> Shape:
    """The array of bytes: N × H × W × C; YUV420SP has its chroma in half as many rows below the luma."""
    if aipp.input_format == "YUV420SP_U8":
        if height % 2 or width % 2:
            raise bad(f"the picture of YUV420SP_U8 has {height} × {width} pixels", "even sizes")
        return (wanted[0], height * 3 // 2, width, 1)
    return (wanted[0], height, width, FORMATS[aipp.input_format])


@dataclass
class _Steps:
    """Inserts ops in front of the model's own."""

    block: Block
    user: Operation | None

    def __post_init__(self) -> None:
        first = self.block.first_op
        assert first is not None
        self.first = first

    def add(self, op: nn.NNOp | nn.ConstantOp, *, exact: bool = False) -> SSAValue:
        """Inserts an op; its result. `exact` keeps it in f32."""
        if self.user is not None:
            op.location = self.user.location  # a model input has no node of its own
        if exact:
            op.attributes[EXACT] = UnitAttr()
        self.block.insert_op_before(op, self.first)
        return op.results[0]

    def constant(self, values: Sequence[float], rank: int = 4) -> SSAValue:
        """Numbers per channel."""
        array = np.array(values, np.float32).reshape((1, len(values), 1, 1)[4 - rank :])
        return self.add(nn.ConstantOp(Blob.dense(array)))

    # --------------------------------------------------------------------------------------- colours

    def colours(self, picture: SSAValue, aipp: AippOp, height: int, width: int) -> SSAValue:
        """Bytes → N × C × H × W in f32, cropped, channels in their order, colours converted."""
        box = self._crop_box(aipp, height, width)
        if aipp.input_format == "YUV420SP_U8":
            planes = self._semi_planar(picture, aipp, height, box)
        else:
            planes = self._packed(picture, aipp, box)
        if aipp.csc_switch:
            planes = self._convert(planes, aipp)
        return planes[0] if len(planes) == 1 else self.add(nn.ConcatOp(planes, 1))

    def _crop_box(self, aipp: AippOp, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height, width."""
        if not aipp.crop:
            return 0, 0, height, width
        top, left = aipp.load_start_pos_h, aipp.load_start_pos_w
        box = (top, left, aipp.crop_size_h or height - top, aipp.crop_size_w or width - left)
        if box[2] <= 0 or box[3] <= 0 or top + box[2] > height or left + box[3] > width:
            raise bad(
                f"the crop of {box[2]} × {box[3]} at {top}, {left} leaves the picture",
                f"a part of {height} × {width}",
            )
        if aipp.input_format == "YUV420SP_U8" and (box[2] % 2 or box[3] % 2):
            raise bad(f"the crop of YUV420SP_U8 has {box[2]} × {box[3]} pixels", "even sizes")
        return box

    def _packed(self, picture: SSAValue, aipp: AippOp, box: tuple[int, int, int, int]) -> list[SSAValue]:
        """Pixels whose channels lie together."""
        top, left, height, width = box
        batch, _, _, channels = nn.shape_of(picture)
        if nn.shape_of(picture)[1:3] != (height, width):
            picture = self.add(nn.SliceOp(picture, (0, top, left, 0), (batch, height, width, channels)))
        if channels == 1:
            return [self.add(nn.CastOp(self.add(nn.ReshapeOp(picture, (batch, 1, height, width))), "f32"))]
        value = self.add(nn.CastOp(self.add(nn.TransposeOp(picture, (0, 3, 1, 2))), "f32"))
        order = _order(aipp, channels)
        if order == list(range(channels)) and not aipp.csc_switch:
            return [value]
        return [self.add(nn.SliceOp(value, (0, c, 0, 0), (batch, 1, height, width))) for c in order]

    def _semi_planar(
        self, picture: SSAValue, aipp: AippOp, rows: int, box: tuple[int, int, int, int]
    ) -> list[SSAValue]:
        """Luma, and two chroma values for each square of four pixels."""
        top, left, height, width = box
        batch = nn.shape_of(picture)[0]
        luma = self.add(nn.SliceOp(picture, (0, top, left, 0), (batch, height, width, 1)))
        planes = [self.add(nn.CastOp(self.add(nn.ReshapeOp(luma, (batch, 1, height, width))), "f32"))]
        start = (0, rows + top // 2, left, 0)
        pairs = self.add(nn.SliceOp(picture, start, (batch, height // 2, width, 1)))
        pairs = self.add(nn.ReshapeOp(pairs, (batch, height // 2, width // 2, 2)))
        chroma = self.add(nn.TransposeOp(self.add(nn.CastOp(pairs, "f32")), (0, 3, 1, 2)))
        chroma = self.add(
            nn.ResizeOp(
                chroma,
                (batch, 2, height, width),
                scales=(1, 1, 2, 2),
                coordinate="asymmetric",
                nearest="floor",
            )
        )
        halves = [self.add(nn.SliceOp(chroma, (0, c, 0, 0), (batch, 1, height, width))) for c in (0, 1)]
        return planes + (halves[::-1] if aipp.rbuv_swap_switch else halves)

    def _convert(self, planes: Sequence[SSAValue], aipp: AippOp) -> list[SSAValue]:
        """Each colour is a sum over three, in 1/256, rounded down and kept within a byte."""
        before = aipp.input_bias if aipp.is_yuv else (0, 0, 0)
        after = (0, 0, 0) if aipp.is_yuv else aipp.output_bias
        sources = [self._plus(plane, -bias) for plane, bias in zip(planes[:3], before, strict=True)]
        found: list[SSAValue] = []
        for row, bias in zip(aipp.matrix, after, strict=True):
            total: SSAValue | None = None
            for source, factor in zip(sources, row, strict=True):
                if not factor:
                    continue
                term = self._times(source, factor * FRACTION)
                total = term if total is None else self.add(nn.AddOp(total, term), exact=True)
            total = total if total is not None else self._times(sources[0], 0.0)
            whole = self._plus(self._floor(total), bias)
            found.append(self.add(nn.ClipOp(whole, 0.0, BYTE_MAX), exact=True))
        return [*found, *planes[3:]]

    def _floor(self, value: SSAValue) -> SSAValue:
        """Rounds multiples of 1/256 down, with additions: not every chip converts f32 to whole numbers. Half a unit less
        than a half is taken off first, so that the nearest whole number is the one below and there are no ties."""
        return self._plus(self._plus(self._plus(value, (FRACTION - 1.0) / 2.0), WHOLE), -WHOLE)

    def _plus(self, value: SSAValue, number: float) -> SSAValue:
        return self.add(nn.AddOp(value, self._scalar(number)), exact=True) if number else value

    def _times(self, value: SSAValue, number: float) -> SSAValue:
        return self.add(nn.MulOp(value, self._scalar(number)), exact=True)

    def _scalar(self, number: float) -> SSAValue:
        return self.add(nn.ConstantOp(Blob.splat(number, (), "f32")))

    # --------------------------------------------------------------------------------------- sizes and numbers

    def resize(self, value: SSAValue, aipp: AippOp) -> SSAValue:
        """Bilinear."""
        if not aipp.resize:
            return value
        batch, channels, height, width = nn.shape_of(value)
        size = (aipp.resize_output_h, aipp.resize_output_w)
        scales = (1.0, 1.0, size[0] / height, size[1] / width)
        return self.add(nn.ResizeOp(value, (batch, channels, *size), scales=scales, mode="linear"))

    def normalise(self, value: SSAValue, aipp: AippOp, wanted: Shape) -> SSAValue:
        """(pixel - mean - min) · reciprocal of the variance, per channel."""
        batch, channels, height, width = nn.shape_of(value)
        if channels == 4 and wanted[1] == 3:  # the fourth channel of XRGB is nobody's colour
            value, channels = self.add(nn.SliceOp(value, (0, 0, 0, 0), (batch, 3, height, width))), 3
        if aipp.csc_switch and channels == 3 and wanted[1] == 1:  # to grey
            value, channels = self.add(nn.SliceOp(value, (0, 0, 0, 0), (batch, 1, height, width))), 1
        if any(aipp.mean[:channels]):
            value = self.add(nn.SubOp(value, self.constant(aipp.mean[:channels])))
        if any(aipp.low[:channels]):
            value = self.add(nn.SubOp(value, self.constant(aipp.low[:channels])))
        if any(scale != 1.0 for scale in aipp.scale[:channels]):
            value = self.add(nn.MulOp(value, self.constant(aipp.scale[:channels])))
        return value

    def pad(self, value: SSAValue, aipp: AippOp) -> SSAValue:
        """A border of one value."""
        if not aipp.padding:
            return value
        begins = (0, 0, aipp.top_padding_size, aipp.left_padding_size)
        ends = (0, 0, aipp.bottom_padding_size, aipp.right_padding_size)
        return self.add(nn.PadOp(value, (*begins, *ends), value=aipp.padding_value))


def _order(aipp: AippOp, channels: int) -> list[int]:
    """Where each channel comes from, after the switches."""
    order = list(range(channels))
    if channels == 4 and aipp.ax_swap_switch:
        order = [1, 2, 3, 0]
    if aipp.rbuv_swap_switch:
        red, blue = (1, 3) if channels == 4 and not aipp.ax_swap_switch else (0, 2)
        order[red], order[blue] = order[blue], order[red]
    return order
