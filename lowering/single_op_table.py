"""The operators that `--singleop` takes, by their types in the public tool's library, and what each is in ONNX.

A row is a function of the graph being written: it adds nodes and returns the names of the results, in order. Results that
a row does not return (the mean and variance of LayerNorm) are left out of the offline model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from ..dialects.nn_shapes import normalize_axis
from .single_op import TYPES, Graph, flat, wrong_op

Row: TypeAlias = Callable[[Graph], list[str]]


def _elementwise(kind: str, operands: int, graph: Graph) -> list[str]:
    for index in range(operands):
        graph.desc(index)
    return [graph.emit(kind, *(graph.operand(i) for i in range(operands)))]


def _unary(kind: str, graph: Graph, **attrs: tuple[str, Any]) -> list[str]:
    """ONNX attribute = (name in the library, default)."""
    values = {name: graph.attr(*source) for name, source in attrs.items()}
    return [graph.emit(kind, graph.desc(0).name, **values)]


def _rsqrt(graph: Graph) -> list[str]:
    return [graph.emit("Reciprocal", graph.emit("Sqrt", graph.desc(0).name))]


def _square(graph: Graph) -> list[str]:
    return [graph.emit("Mul", graph.desc(0).name, graph.desc(0).name)]


def _swish(graph: Graph) -> list[str]:
    x, scale = graph.desc(0).name, float(graph.attr("scale", 1.0))
    inner = x if scale == 1.0 else graph.emit("Mul", x, graph.scalar(scale))
    return [graph.emit("Mul", x, graph.emit("Sigmoid", inner))]


def _gelu(approximate: str, graph: Graph) -> list[str]:
    return [graph.emit("Gelu", graph.desc(0).name, approximate=graph.attr("approximate", approximate))]


def _relu6(graph: Graph) -> list[str]:
    return [graph.emit("Clip", graph.desc(0).name, graph.scalar(0.0), graph.scalar(6.0))]


def _clip(graph: Graph) -> list[str]:
    return [graph.emit("Clip", *(graph.desc(i).name for i in range(3)))]


def _cast(graph: Graph) -> list[str]:
    code = int(graph.attr("dst_type", -1))
    found = next(
        (onnx_code for number, onnx_code in TYPES.values() if number == code), graph.op.outputs[0].onnx_type
    )
    return [graph.emit("Cast", graph.desc(0).name, to=found)]


def _add_n(graph: Graph) -> list[str]:
    return [graph.emit("Sum", *(desc.name for desc in graph.op.inputs if not desc.is_absent))]


def _bias_add(graph: Graph) -> list[str]:
    x, bias = graph.desc(0), graph.desc(1)
    layout = graph.attr("data_format", x.format)
    if layout in ("NCHW", "ND") and len(x.shape) > 2 and layout == "NCHW":
        shape = (1, -1, *(1,) * (len(x.shape) - 2))
        return [graph.emit("Add", x.name, graph.emit("Reshape", bias.name, graph.ints(shape)))]
    return [graph.emit("Add", x.name, bias.name)]


# --------------------------------------------------------------------------------------------- products


def _turned(graph: Graph, index: int, wanted: bool) -> str:
    desc = graph.desc(index)
    rank = len(desc.shape)
    return (
        graph.emit("Transpose", desc.name, perm=[*range(rank - 2), rank - 1, rank - 2])
        if wanted
        else desc.name
    )


def _matmul(first: str, second: str, graph: Graph) -> list[str]:
    a, b = (
        _turned(graph, 0, bool(graph.attr(first, False))),
        _turned(graph, 1, bool(graph.attr(second, False))),
    )
    product, bias = graph.emit("MatMul", a, b), graph.operand(2)
    return [graph.emit("Add", product, bias) if bias else product]


def _fully_connection(graph: Graph) -> list[str]:
    x, weight = graph.desc(0), graph.desc(1)
    flat = graph.emit("Flatten", x.name, axis=int(graph.attr("axis", 1)))
    inner = weight.name
    if len(weight.shape) > 2:
        inner = graph.emit("Flatten", inner, axis=1)
    turned = inner if graph.attr("transpose", False) else graph.emit("Transpose", inner, perm=[1, 0])
    product, bias = graph.emit("MatMul", flat, turned), graph.operand(2)
    result = graph.emit("Add", product, bias) if bias else product
    return [graph.emit("Reshape", result, graph.ints(graph.op.outputs[0].shape))]


# --------------------------------------------------------------------------------------------- rows and axes


def _softmax(kind: str, graph: Graph) -> list[str]:
    axes = graph.attr("axes", graph.attr("axis", [-1]))
    axes = flat(axes)
    if len(axes) != 1:
        raise wrong_op(graph.op, f"it has {len(axes)} axes", "one axis", "E10030")
    return [graph.emit(kind, graph.desc(0).name, axis=int(axes[0]))]


def _reduce(kind: str, graph: Graph) -> list[str]:
    axes = graph.known(1, "axes")
    return [
        graph.emit(
            kind, graph.desc(0).name, graph.ints(axes), keepdims=int(bool(graph.attr("keep_dims", False)))
        )
    ]


def _layer_norm(graph: Graph) -> list[str]:
    axis = int(graph.attr("begin_norm_axis", -1))
    names = [graph.desc(i).name for i in range(3)]
    return [graph.emit("LayerNormalization", *names, axis=axis, epsilon=float(graph.attr("epsilon", 1e-5)))]


# --------------------------------------------------------------------------------------------- moves


def _transpose(graph: Graph) -> list[str]:
    return [graph.emit("Transpose", graph.desc(0).name, perm=graph.known(1, "perm"))]


def _reshape(graph: Graph) -> list[str]:
    return [graph.emit("Reshape", graph.desc(0).name, graph.ints(graph.op.outputs[0].shape))]


def _concat(graph: Graph) -> list[str]:
    pieces = [desc for desc in graph.op.inputs if not desc.is_absent]
    axis = graph.attr("concat_dim", graph.attr("axis", None))
    if axis is None:  # an operand: the first for Concat, the last for ConcatV2
        at = -1 if graph.op.type == "ConcatV2" else 0
        desc = pieces.pop(at)
        if desc.value is None:
            raise wrong_op(graph.op, "the axis is no constant", '"is_const": true with "const_value"')
        axis = desc.value[0]
    return [graph.emit("Concat", *(desc.name for desc in pieces), axis=int(axis))]


def _pad(graph: Graph) -> list[str]:
    pairs = graph.known(1, "paddings")
    value = graph.operand(2) if graph.op.type == "PadV2" else ""
    return [graph.emit("Pad", graph.desc(0).name, graph.ints([*pairs[0::2], *pairs[1::2]]), value)]


def _slice(graph: Graph) -> list[str]:
    starts, sizes = graph.known(1, "offsets"), graph.known(2, "size")
    shape = graph.desc(0).shape
    ends = [n if size == -1 else start + size for start, size, n in zip(starts, sizes, shape, strict=True)]
    return [graph.emit("Slice", graph.desc(0).name, graph.ints(starts), graph.ints(ends))]


def _tile(graph: Graph) -> list[str]:
    return [graph.emit("Tile", graph.desc(0).name, graph.ints(graph.known(1, "multiples")))]


def _gather(graph: Graph) -> list[str]:
    axis = graph.known(2, "axis")[0] if len(graph.op.inputs) > 2 or "axis" in graph.op.attrs else 0
    return [graph.emit("Gather", graph.desc(0).name, graph.desc(1).name, axis=axis)]


# --------------------------------------------------------------------------------------------- pictures

_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def _picture(graph: Graph, compute: Callable[[str], str]) -> list[str]:
    """Computes on N × C × H × W, whatever the descriptor's format is."""
    x = graph.desc(0)
    if x.format != "NHWC":
        return [compute(x.name)]
    return [
        graph.emit(
            "Transpose", compute(graph.emit("Transpose", x.name, perm=list(_TO_NCHW))), perm=list(_TO_NHWC)
        )
    ]


def _two(values: Sequence[int], layout: str) -> list[int]:
    """Height and width out of four numbers, or the two themselves."""
    if len(values) == 4:
        return list(values[1:3] if layout == "NHWC" else values[2:4])
    return list(values) if len(values) == 2 else [values[0]] * 2


def _conv(is_depthwise: bool, graph: Graph) -> list[str]:
    x, weight = graph.desc(0), graph.desc(1)
    layout = graph.attr("data_format", x.format)
    filters = (
        weight.name if weight.format != "NHWC" else graph.emit("Transpose", weight.name, perm=list(_TO_NCHW))
    )
    channels = x.shape[3 if x.format == "NHWC" else 1]
    if is_depthwise:  # 1 × C × kh × kw in the library, C × 1 × kh × kw in ONNX
        filters = graph.emit("Transpose", filters, perm=[1, 0, 2, 3]) if weight.shape[0] == 1 else filters
    pads = [int(v) for v in graph.attr("pads", [0, 0, 0, 0])]
    attrs: dict[str, Any] = {
        "strides": _two(graph.attr("strides", [1, 1, 1, 1]), layout),
        "dilations": _two(graph.attr("dilations", [1, 1, 1, 1]), layout),
        "pads": [pads[0], pads[2], pads[1], pads[3]],  # top, bottom, left, right in the library
        "group": channels if is_depthwise else int(graph.attr("groups", 1)),
    }
    return _picture(graph, lambda name: graph.emit("Conv", name, filters, graph.operand(2), **attrs))


def _pool(kind: str, graph: Graph) -> list[str]:
    layout = graph.attr("data_format", graph.desc(0).format)
    pads = [int(v) for v in graph.attr("pads", [0, 0, 0, 0])]
    attrs: dict[str, Any] = {
        "kernel_shape": _two(graph.attr("ksize", [1, 1, 1, 1]), layout),
        "strides": _two(graph.attr("strides", [1, 1, 1, 1]), layout),
        "pads": [pads[0], pads[2], pads[1], pads[3]],
        "ceil_mode": int(bool(graph.attr("ceil_mode", False))),
    }
    if kind == "AveragePool":
        attrs["count_include_pad"] = int(not graph.attr("exclusive", True))
    return _picture(graph, lambda name: graph.emit(kind, name, **attrs))


def _resize(mode: str, graph: Graph) -> list[str]:
    size = graph.known(1, "size")
    centres = "align_corners" if graph.attr("align_corners", False) else "asymmetric"
    centres = "half_pixel" if graph.attr("half_pixel_centers", False) else centres
    shape = graph.desc(0).shape
    batch, channels = shape[0], shape[3 if graph.desc(0).format == "NHWC" else 1]
    sizes = graph.ints([batch, channels, *size])
    attrs: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": centres}
    if mode == "nearest":
        attrs["nearest_mode"] = "floor"
    return _picture(graph, lambda name: graph.emit("Resize", name, "", "", sizes, **attrs))


def _squeeze(graph: Graph) -> list[str]:
    rank = len(graph.desc(0).shape)
    for axis in graph.attr("axis", []):
        normalize_axis(int(axis), rank)
    return _reshape(graph)


def _named(kinds: str, operands: int) -> dict[str, Row]:
    """Operators that ONNX has under the same name, or as `Name:OnnxName`."""
    rows: dict[str, Row] = {}
    for word in kinds.split():
        name, _, other = word.partition(":")
        rows[name] = partial(_elementwise, other or name, operands)
    return rows


OPERATORS: Final[dict[str, Row]] = {
    **_named(
        "Relu Sigmoid Tanh Exp Log Sqrt Abs Neg Floor Ceil Round Erf Softplus Reciprocal Sin Cos Atan Sign HardSwish Identity"
        " LogicalNot:Not Selu Mish",
        1,
    ),
    **_named(
        "Add Sub Mul RealDiv:Div Div Maximum:Max Minimum:Min Pow Equal Greater GreaterEqual:GreaterOrEqual Less"
        " LessEqual:LessOrEqual LogicalAnd:And LogicalOr:Or PRelu",
        2,
    ),
    **_named("Select:Where SelectV2:Where", 3),
    "Elu": partial(_unary, "Elu", alpha=("alpha", 1.0)),
    "LeakyRelu": partial(_unary, "LeakyRelu", alpha=("negative_slope", 0.0)),
    "Rsqrt": _rsqrt,
    "Square": _square,
    "Swish": _swish,
    "Gelu": partial(_gelu, "tanh"),
    "GeluV2": partial(_gelu, "none"),
    "Relu6": _relu6,
    "ClipByValue": _clip,
    "Cast": _cast,
    "AddN": _add_n,
    "BiasAdd": _bias_add,
    "MatMul": partial(_matmul, "transpose_x1", "transpose_x2"),
    "MatMulV2": partial(_matmul, "transpose_x1", "transpose_x2"),
    "BatchMatMul": partial(_matmul, "adj_x1", "adj_x2"),
    "BatchMatMulV2": partial(_matmul, "adj_x1", "adj_x2"),
    "FullyConnection": _fully_connection,
    "SoftmaxV2": partial(_softmax, "Softmax"),
    "LogSoftmaxV2": partial(_softmax, "LogSoftmax"),
    **{
        f"Reduce{kind}{suffix}": partial(_reduce, f"Reduce{kind}")
        for kind in ("Sum", "Mean", "Max", "Min", "Prod")
        for suffix in ("", "D")
    },
    "LayerNorm": _layer_norm,
    "LayerNormV3": _layer_norm,
    **dict.fromkeys(("Transpose", "TransposeD"), _transpose),
    **dict.fromkeys(("Reshape", "Flatten", "ExpandDims", "Unsqueeze"), _reshape),
    "Squeeze": _squeeze,
    **dict.fromkeys(("Concat", "ConcatD", "ConcatV2", "ConcatV2D"), _concat),
    **dict.fromkeys(("Pad", "PadD", "PadV2"), _pad),
    **dict.fromkeys(("Slice", "SliceD"), _slice),
    **dict.fromkeys(("Tile", "TileD"), _tile),
    **dict.fromkeys(("Gather", "GatherV2", "GatherV2D"), _gather),
    "Conv2D": partial(_conv, False),
    "DepthwiseConv2D": partial(_conv, True),
    **dict.fromkeys(("MaxPool", "MaxPoolV3"), partial(_pool, "MaxPool")),
    **dict.fromkeys(("AvgPool", "AvgPoolV2"), partial(_pool, "AveragePool")),
    **dict.fromkeys(("ResizeBilinearV2", "ResizeBilinear", "ResizeBilinearV2D"), partial(_resize, "linear")),
    **dict.fromkeys(("ResizeNearestNeighborV2", "ResizeNearestNeighbor"), partial(_resize, "nearest")),
}  # fmt: skip
"""Type in the library → row."""
