"""Rules of nn-decompose: a convolution whose weight is computed is a product with gathered windows.

The cube reads a convolution's weight in FRACTAL_Z, an order that only the compiler writes: it packs constants.
A weight that another node computes (or that is a model input, as in old exports) lies row-major, so the
windows are written out instead: one strided slice of the padded image per tap, side by side, times the weight
as a matrix.
"""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...runtime.isa.table import TABLE
from ..rewriting import Builder, Rule, constant_of
from .nn_movement import has_rows_of_padding, rebuild


def convolution(op: Operation, build: Builder) -> SSAValue | None:
    """conv(x, w) = w [g, O/g, taps·C/g] × windows [N, g, taps·C/g, H·W] + bias."""
    if not isinstance(op, nn.ConvOp) or constant_of(op.weight) is not None:
        return None
    result, weight = nn.shape_of(op.output), nn.shape_of(op.weight)
    if -1 in (*result, *weight, *nn.shape_of(op.input)) or 0 in result:
        return None
    group, (out, inner, *kernel) = op.group.value.data, weight
    taps = kernel[0] * kernel[1]
    windows = _windows(op, kernel, group, build)
    matrix = build(nn.ReshapeOp(op.weight, (group, out // group, inner, taps)))
    matrix = build(nn.TransposeOp(matrix, (0, 1, 3, 2)))
    matrix = build(nn.ReshapeOp(matrix, (1, group, out // group, taps * inner)))
    product = build(nn.MatMulOp(matrix, windows))
    product = build(nn.ReshapeOp(product, result))
    if op.bias is None:
        return product
    return build(nn.AddOp(product, build(nn.ReshapeOp(op.bias, (1, out, 1, 1)))))


def _windows(op: nn.ConvOp, kernel: list[int], group: int, build: Builder) -> SSAValue:
    """[N, g, taps·C/g, H·W]: what each tap sees at each position of the result."""
    top, left, bottom, right = nn.ints(op.pads)
    image = op.input
    if any((top, left, bottom, right)):
        image = build(nn.PadOp(image, (0, 0, top, left, 0, 0, bottom, right)))
    n, channels = nn.shape_of(image)[:2]
    rows, columns = nn.shape_of(op.output)[2:]
    strides, dilations = nn.ints(op.strides), nn.ints(op.dilations)
    steps = tuple(s if size > 1 else 1 for s, size in zip(strides, (rows, columns), strict=True))
    pieces: list[SSAValue] = []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            start = (0, 0, i * dilations[0], j * dilations[1])
            piece = build(nn.SliceOp(image, start, (n, channels, rows, columns), (1, 1, *steps)))
            pieces.append(build(nn.ReshapeOp(piece, (n, group, channels // group, rows * columns))))
    return pieces[0] if len(pieces) == 1 else build(nn.ConcatOp(pieces, 2))


def transposed(op: Operation, build: Builder) -> SSAValue | None:
    """conv_transpose with a computed weight: zeros between the pixels, then a convolution with the taps in
    reverse order."""
    if not isinstance(op, nn.ConvTransposeOp) or constant_of(op.weight) is not None:
        return None
    shape, result, weight = (nn.shape_of(v) for v in (op.input, op.output, op.weight))
    if -1 in (*shape, *result, *weight):
        return None
    group, (rows, columns, *kernel) = op.group.value.data, weight
    strides, dilations, pads = (nn.ints(a) for a in (op.strides, op.dilations, op.pads))
    image = _spread(op.input, strides, build)
    spread = nn.shape_of(image)
    before = [dilations[i] * (kernel[i] - 1) - pads[i] for i in range(2)]
    after = [result[2 + i] + dilations[i] * (kernel[i] - 1) - spread[2 + i] - before[i] for i in range(2)]
    image = _framed(image, before, after, build)
    flipped = build(
        nn.SliceOp(op.weight, (0, 0, kernel[0] - 1, kernel[1] - 1), weight, (1, 1, -1, -1))
    ) if kernel != [1, 1] else op.weight  # fmt: skip
    split = build(nn.ReshapeOp(flipped, (group, rows // group, columns, *kernel)))
    turned = build(nn.TransposeOp(split, (0, 2, 1, 3, 4)))
    matrix = build(nn.ReshapeOp(turned, (group * columns, rows // group, *kernel)))
    return build(nn.ConvOp(image, matrix, op.bias, dilations=dilations, group=group))


def _framed(x: SSAValue, before: list[int], after: list[int], build: Builder) -> SSAValue:
    """Cut where the frame is negative, then zeros around."""
    n, c, *size = nn.shape_of(x)
    starts = [max(-b, 0) for b in before]
    sizes = [size[i] - starts[i] - max(-after[i], 0) for i in range(2)]
    if sizes != size:
        x = build(nn.SliceOp(x, (0, 0, *starts), (n, c, *sizes)))
    pads = [max(p, 0) for p in (*before, *after)]
    return build(nn.PadOp(x, (0, 0, *pads[:2], 0, 0, *pads[2:]))) if any(pads) else x


def _spread(x: SSAValue, strides: tuple[int, ...], build: Builder) -> SSAValue:
    """Pixels `strides` apart, zeros between."""
    n, c, h, w = nn.shape_of(x)
    if set(strides) == {1}:
        return x
    column = build(nn.ReshapeOp(x, (n * c, h, 1, w, 1)))
    gaps = (0, 0, strides[0] - 1, 0, strides[1] - 1)
    padded = build(nn.PadOp(column, (*(0,) * 5, *gaps)))
    return build(nn.ReshapeOp(padded, (n, c, h * strides[0], w * strides[1])))


def rows_of_padding(op: Operation, build: Builder) -> SSAValue | None:
    """Rows that are nothing but padding are written out."""
    if not isinstance(op, nn.ConvOp) or constant_of(op.weight) is None or -1 in nn.shape_of(op.input):
        return None
    top, left, bottom, right = pads = nn.ints(op.pads)
    if not (top or bottom) or not has_rows_of_padding(op, nn.shape_of(op.input)[2], pads):
        return None
    image = build(nn.PadOp(op.input, (0, 0, top, 0, 0, 0, bottom, 0)))
    new = rebuild(op, [image, *op.operands[1:]])
    new.properties["pads"] = nn.to_attribute((0, left, 0, right))
    return build(new)


def wide_stride(op: Operation, build: Builder) -> SSAValue | None:
    """A stride that load3d has no field for (63 at most): as many neighbours along the axis become channels, in the
    image as in the weight, and the stride is 1.

        conv [N, C, H, W] ∗ [O, C, Kh, Kw], stride s  =  conv [N, C·s, H, W/s] ∗ [O, C·s, Kh, Kw/s], stride 1
    """
    if not isinstance(op, nn.ConvOp) or op.group.value.data != 1 or -1 in nn.shape_of(op.input):
        return None
    blob = constant_of(op.weight)
    axis = next((i for i in (0, 1) if nn.ints(op.strides)[i] > _limit("stride")), None)
    if blob is None or axis is None or nn.ints(op.dilations)[axis] != 1:
        return None
    stride, taps = nn.ints(op.strides)[axis], blob.shape[2 + axis]
    factor = stride  # the windows are then as few taps wide as they are strides
    if -(-taps // factor) > _limit("filter"):
        return None
    image = _folded_image(op, axis, factor, -(-taps // factor) * factor, build)
    after = [0, 0, 0, 0]
    after[2 + axis] = -taps % factor
    weight = blob.apply("pad", (0, 0, 0, 0), tuple(after)) if any(after) else blob
    out, channels, *kernel = weight.shape
    kernel[axis] //= factor
    split = (out, channels, *kernel[: axis + 1], factor, *kernel[axis + 1 :])
    order = (0, 1, 3 + axis, *(i for i in range(2, 5) if i != 3 + axis))
    weight = weight.apply("reshape", split).apply("transpose", order)
    weight = weight.apply("reshape", (out, channels * factor, *kernel))
    pads, strides = list(nn.ints(op.pads)), list(nn.ints(op.strides))
    pads[axis] = pads[axis + 2] = 0
    strides[axis] //= factor
    return build(
        nn.ConvOp(
            image,
            build.constant(weight),
            op.bias,
            strides=strides,
            pads=pads,
            dilations=nn.ints(op.dilations),
        )
    )


def _folded_image(op: nn.ConvOp, axis: int, factor: int, taps: int, build: Builder) -> SSAValue:
    """The image with its own padding, as long as the windows reach, and every `factor` neighbours as channels."""
    shape = list(nn.shape_of(op.input))
    before = nn.ints(op.pads)[axis]
    count, stride = nn.shape_of(op.output)[2 + axis], nn.ints(op.strides)[axis]
    needed = -(-((count - 1) * stride + taps) // factor) * factor
    image = op.input
    spare = needed - shape[2 + axis] - before
    if spare < 0:  # elements that no window sees
        shape[2 + axis] += spare
        image = build(nn.SliceOp(image, (0, 0, 0, 0), shape))
    if before or spare > 0:
        pads = [0] * 8
        pads[2 + axis], pads[6 + axis] = before, max(spare, 0)
        image = build(nn.PadOp(image, pads))
    n, channels, *size = nn.shape_of(image)
    size[axis] //= factor
    split = build(nn.ReshapeOp(image, (n, channels, *size[: axis + 1], factor, *size[axis + 1 :])))
    order = (0, 1, 3 + axis, *(i for i in range(2, 5) if i != 3 + axis))
    return build(nn.ReshapeOp(build(nn.TransposeOp(split, order)), (n, channels * factor, *size)))


def _limit(field: str) -> int:
    """The largest value of a field of load3d, alike along both axes."""
    return min(row.high for row in TABLE["load3d"].fields if row.name in (f"{field}_h", f"{field}_w"))


RULES: list[Rule] = [transposed, convolution, wide_stride, rows_of_padding]
