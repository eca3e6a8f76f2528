"""Rule of nn-decompose: a transposed convolution is a convolution with s·s times the channels and a pixel
shuffle.

In one dimension, with stride s and dilation d, output o (counted in the uncropped result, o = position + pad)
is the sum over i, k with i·s + k·d = o. Write o = q·s + r: only taps with k·d = t·s + r reach phase r, and
they read x[q - t]. So each phase is a convolution of stride 1 with T = d·(K-1)//s + 1 taps in reversed order,
all phases share their input window, and the s phases become s times the output channels. Only the phases q
that the crop keeps are computed, so nothing is wasted but taps that are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ..rewriting import Builder, Rule, constant_of


@dataclass(frozen=True)
class Phases:
    """One dimension of the decomposition."""

    stride: int
    taps: int
    first: int
    """The first q that reaches the cropped result."""
    count: int
    before: int
    """Padding of the input; negative crops."""
    after: int
    skip: int
    """Results to drop in front after the pixel shuffle."""

    @staticmethod
    def of(size: int, result: int, *, kernel: int, stride: int, dilation: int, pad: int) -> Phases:
        taps = dilation * (kernel - 1) // stride + 1
        first, last = pad // stride, (pad + result - 1) // stride
        return Phases(
            stride, taps, first, last - first + 1, taps - 1 - first, last - (size - 1), pad - first * stride
        )


def conv_transpose(op: Operation, build: Builder) -> SSAValue | None:
    """Rule: conv_transpose with a constant weight."""
    if not isinstance(op, nn.ConvTransposeOp):
        return None
    weight, bias = constant_of(op.weight), constant_of(op.bias)
    x, result = nn.shape_of(op.input), nn.shape_of(op.output)
    if weight is None or (op.bias is not None and bias is None) or -1 in (*x, *result):
        return None
    strides, pads, dilations = (nn.ints(a) for a in (op.strides, op.pads, op.dilations))
    kernel, group = weight.shape[2:], op.group.value.data
    h, w = (
        Phases.of(
            x[2 + i], result[2 + i], kernel=kernel[i], stride=strides[i], dilation=dilations[i], pad=pads[i]
        )
        for i in range(2)
    )
    block_major = (
        group == 1
    )  # depth_to_space DCR keeps 16 channels together; groups need their channels side by side
    new_weight = build.constant(_phase_weight(weight, (h, w), dilations, group, block_major))
    new_bias = None if bias is None else build.constant(_phase_bias(bias, h.stride * w.stride, block_major))
    image = _cropped(op.input, h, w, build)
    conv_pads = [max(p, 0) for p in (h.before, w.before, h.after, w.after)]
    y = build(nn.ConvOp(image, new_weight, new_bias, pads=conv_pads, group=group))
    y = _shuffle(y, h.stride, w.stride, block_major, build)
    if nn.shape_of(y) == result:
        return y
    return build(nn.SliceOp(y, (0, 0, h.skip, w.skip), result))


def _cropped(x: SSAValue, h: Phases, w: Phases, build: Builder) -> SSAValue:
    """Rows and columns of the input that no kept result reads."""
    n, c, height, width = nn.shape_of(x)
    top, left = max(-h.before, 0), max(-w.before, 0)
    rows, columns = height - top - max(-h.after, 0), width - left - max(-w.after, 0)
    if (rows, columns) == (height, width):
        return x
    return build(nn.SliceOp(x, (0, 0, top, left), (n, c, rows, columns)))


def _phase_weight(
    weight: Blob, phases: tuple[Phases, Phases], dilations: tuple[int, ...], group: int, block_major: bool
) -> Blob:
    """[C, O/g, Kh, Kw] → [O·s·s, C/g, Th, Tw], channels as (phase, o) or (o, phase)."""
    rows, columns, *kernel = weight.shape
    blob = weight
    for i, (phase, dilation) in enumerate(zip(phases, dilations, strict=True)):
        blob = _spread(blob, 2 + i, kernel[i], dilation, phase.taps * phase.stride)
    (th, sh), (tw, sw) = ((p.taps, p.stride) for p in phases)
    blob = blob.apply("reshape", (group, rows // group, columns, th, sh, tw, sw)).apply("flip", (3, 5))
    order = (0, 4, 6, 2, 1, 3, 5) if block_major else (0, 2, 4, 6, 1, 3, 5)
    return blob.apply("transpose", order).apply("reshape", (group * columns * sh * sw, rows // group, th, tw))


def _spread(blob: Blob, axis: int, kernel: int, dilation: int, size: int) -> Blob:
    """Taps `dilation` apart, zeros between and up to `size`."""
    shape = blob.shape
    if dilation > 1:
        rank = len(shape) + 1
        blob = blob.apply("reshape", (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        after = tuple(dilation - 1 if i == axis + 1 else 0 for i in range(rank))
        blob = blob.apply("pad", (0,) * rank, after, 0.0)
        blob = blob.apply("reshape", (*shape[:axis], kernel * dilation, *shape[axis + 1 :]))
    extent = blob.shape[axis]
    rank = len(blob.shape)
    if extent > size:  # zeros behind the last tap
        sizes = tuple(size if i == axis else s for i, s in enumerate(blob.shape))
        return blob.apply("slice", (0,) * rank, sizes, (1,) * rank)
    if extent == size:
        return blob
    return blob.apply("pad", (0,) * rank, tuple(size - extent if i == axis else 0 for i in range(rank)), 0.0)


def _phase_bias(bias: Blob, phases: int, block_major: bool) -> Blob:
    channels = bias.shape[0]
    if block_major:
        return bias.apply("expand", (phases, channels)).apply("reshape", (phases * channels,))
    column = bias.apply("reshape", (channels, 1)).apply("expand", (channels, phases))
    return column.apply("reshape", (phases * channels,))


def _shuffle(y: SSAValue, sh: int, sw: int, block_major: bool, build: Builder) -> SSAValue:
    """Phases from the channels into rows and columns."""
    n, c, h, w = nn.shape_of(y)
    if sh == sw == 1:
        return y
    if sh == sw:
        return build(nn.DepthToSpaceOp(y, sh, "DCR" if block_major else "CRD"))
    channels = c // (sh * sw)
    split = (n, sh, sw, channels, h, w) if block_major else (n, channels, sh, sw, h, w)
    order = (0, 3, 4, 1, 5, 2) if block_major else (0, 1, 4, 2, 5, 3)
    moved = build(nn.TransposeOp(build(nn.ReshapeOp(y, split)), order))
    return build(nn.ReshapeOp(moved, (n, channels, h * sh, w * sw)))


RULES: list[Rule] = [conv_transpose]
