"""The benchmark's models, built with a fixed seed: nothing is downloaded, every run measures the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20
OPSET = 17


@dataclass
class GraphBuilder:
    """Appends nodes; every method returns the name of the value it made."""

    name: str
    seed: int = SEED
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.count = 0

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def weight(self, array: np.ndarray, stem: str = "w") -> str:
        name = self.fresh(stem)
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: object) -> str:
        out = self.fresh(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def conv(
        self,
        x: str,
        cout: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        act: str = "Relu",
    ) -> str:
        """Conv (+ BatchNormalization) (+ activation); weights scaled so that activations keep their size."""
        cin = self.channels[x]
        fan = cin // groups * kernel * kernel
        w = self.weight(self.rng.standard_normal((cout, cin // groups, kernel, kernel)) * np.sqrt(2 / fan))
        pad = kernel // 2
        inputs = [x, w] if norm else [x, w, self.weight(0.1 * self.rng.standard_normal(cout), "b")]
        y = self.node(
            "Conv", inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups
        )
        if norm:
            scale, bias = 1 + 0.1 * self.rng.standard_normal(cout), 0.1 * self.rng.standard_normal(cout)
            mean, var = 0.1 * self.rng.standard_normal(cout), 1 + 0.1 * self.rng.random(cout)
            y = self.node(
                "BatchNormalization",
                [y, *(self.weight(a, "bn") for a in (scale, bias, mean, var))],
                epsilon=1e-5,
            )
        if act == "Relu6":
            low, high = self.weight(np.array(0.0), "min"), self.weight(np.array(6.0), "max")
            y = self.node("Clip", [y, low, high])
        elif act == "Silu":
            y = self.node("Mul", [y, self.node("Sigmoid", [y])])
        elif act:
            y = self.node(act, [y])
        self.channels[y] = cout
        return y

    def add(self, a: str, b: str, relu: bool = False) -> str:
        y = self.node("Add", [a, b])
        if relu:
            y = self.node("Relu", [y])
        self.channels[y] = self.channels[a]
        return y

    def keep(self, y: str, channels: int) -> str:
        self.channels[y] = channels
        return y

    def model(self, inputs: dict[str, tuple[int | str, ...]], outputs: list[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
            self.weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made)


def resnet18(batch: int | str = 1) -> onnx.ModelProto:
    """ResNet-18, N×3×224×224, batch normalisation in the graph."""
    g = GraphBuilder("resnet18", channels={"x": 3})
    y = g.conv("x", 64, 7, 2)
    y = g.keep(g.node("MaxPool", [y], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64)
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for s in (stride, 1):
            z = g.conv(g.conv(y, width, 3, s), width, 3, act="")
            y = g.add(z, g.conv(y, width, 1, s, act="") if s > 1 else y, relu=True)
    y = g.node("Flatten", [g.node("GlobalAveragePool", [y])])
    w = g.weight(g.rng.standard_normal((1000, 512)) / np.sqrt(512))
    y = g.node("Gemm", [y, w, g.weight(np.zeros(1000), "b")], transB=1)
    return g.model({"x": (batch, 3, 224, 224)}, [y])


def vgg16(batch: int | str = 1) -> onnx.ModelProto:
    """VGG16 without batch normalisation, N×3×224×224."""
    g = GraphBuilder("vgg16", channels={"x": 3})
    y = "x"
    for width, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            y = g.conv(y, width, 3, norm=False)
        y = g.keep(g.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2]), width)
    y = g.node("Flatten", [y])
    for cin, cout in ((512 * 49, 4096), (4096, 4096), (4096, 1000)):
        w = g.weight(g.rng.standard_normal((cout, cin)) * np.sqrt(2 / cin))
        y = g.node("Gemm", [y, w, g.weight(np.zeros(cout), "b")], transB=1)
        y = g.node("Relu", [y]) if cout == 4096 else y
    return g.model({"x": (batch, 3, 224, 224)}, [y])


def resnet50(batch: int | str = 1) -> onnx.ModelProto:
    """ResNet-50, N×3×224×224, batch normalisation in the graph."""
    g = GraphBuilder("resnet50", channels={"x": 3})
    y = g.conv("x", 64, 7, 2)
    y = g.keep(g.node("MaxPool", [y], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64)
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(blocks):
            s = stride if i == 0 else 1
            z = g.conv(g.conv(g.conv(y, width, 1), width, 3, s), width * 4, 1, act="")
            short = y if i else g.conv(y, width * 4, 1, s, act="")
            y = g.add(z, short, relu=True)
    y = g.node("Flatten", [g.node("GlobalAveragePool", [y])])
    w = g.weight(g.rng.standard_normal((1000, 2048)) / np.sqrt(2048))
    y = g.node("Gemm", [y, w, g.weight(np.zeros(1000), "b")], transB=1)
    return g.model({"x": (batch, 3, 224, 224)}, [y])


def mobilenet_v2(batch: int | str = 1) -> onnx.ModelProto:
    """MobileNetV2 1.0, N×3×224×224."""
    g = GraphBuilder("mobilenet_v2", channels={"x": 3})
    y = g.conv("x", 32, 3, 2, act="Relu6")
    for expand, cout, repeat, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(repeat):
            s, cin = (stride if i == 0 else 1), g.channels[y]
            z = g.conv(y, cin * expand, 1, act="Relu6") if expand > 1 else y
            z = g.conv(z, cin * expand, 3, s, groups=cin * expand, act="Relu6")
            z = g.conv(z, cout, 1, act="")
            y = g.add(y, z) if s == 1 and cin == cout else z
    y = g.conv(y, 1280, 1, act="Relu6")
    y = g.node("Flatten", [g.node("GlobalAveragePool", [y])])
    w = g.weight(g.rng.standard_normal((1000, 1280)) / np.sqrt(1280))
    y = g.node("Gemm", [y, w, g.weight(np.zeros(1000), "b")], transB=1)
    return g.model({"x": (batch, 3, 224, 224)}, [y])


def _c2f(g: GraphBuilder, x: str, cout: int, repeat: int, shortcut: bool) -> str:
    half = cout // 2
    y = g.conv(x, cout, 1, act="Silu")
    name = g.fresh("split")
    g.nodes.append(helper.make_node("Split", [y], [f"{name}_0", f"{name}_1"], name=name, axis=1))
    parts = [g.keep(f"{name}_0", half), g.keep(f"{name}_1", half)]
    for _ in range(repeat):
        z = g.conv(g.conv(parts[-1], half, 3, act="Silu"), half, 3, act="Silu")
        parts.append(g.add(parts[-1], z) if shortcut else z)
    joined = g.keep(g.node("Concat", parts, axis=1), half * len(parts))
    return g.conv(joined, cout, 1, act="Silu")


def yolo_features(g: GraphBuilder, kind_act: str = "") -> list[str]:
    """YOLOv8n's backbone, feature pyramid and heads on input `x`: boxes and classes of three levels."""
    y = g.conv(g.conv("x", 16, 3, 2, act="Silu"), 32, 3, 2, act="Silu")
    y = g.conv(_c2f(g, y, 32, 1, True), 64, 3, 2, act="Silu")
    p3 = _c2f(g, y, 64, 2, True)
    p4 = _c2f(g, g.conv(p3, 128, 3, 2, act="Silu"), 128, 2, True)
    y = _c2f(g, g.conv(p4, 256, 3, 2, act="Silu"), 256, 1, True)
    y = g.conv(y, 128, 1, act="Silu")
    pools = [y]
    for _ in range(3):
        pools.append(
            g.keep(g.node("MaxPool", [pools[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4), 128)
        )
    p5 = g.conv(g.keep(g.node("Concat", pools, axis=1), 512), 256, 1, act="Silu")
    scales = g.weight(np.array([1, 1, 2, 2]), "scales")

    def up(v: str, other: str) -> str:
        z = g.keep(g.node("Resize", [v, "", scales], mode="nearest"), g.channels[v])
        return g.keep(g.node("Concat", [z, other], axis=1), g.channels[v] + g.channels[other])

    n4 = _c2f(g, up(p5, p4), 128, 1, False)
    n3 = _c2f(g, up(n4, p3), 64, 1, False)
    d4 = g.conv(n3, 64, 3, 2, act="Silu")
    m4 = _c2f(g, g.keep(g.node("Concat", [d4, n4], axis=1), 192), 128, 1, False)
    d5 = g.conv(m4, 128, 3, 2, act="Silu")
    m5 = _c2f(g, g.keep(g.node("Concat", [d5, p5], axis=1), 384), 256, 1, False)
    outputs = []
    for level in (n3, m4, m5):
        box = g.conv(g.conv(g.conv(level, 64, 3, act="Silu"), 64, 3, act="Silu"), 64, 1, norm=False, act="")
        kind = g.conv(
            g.conv(g.conv(level, 80, 3, act="Silu"), 80, 3, act="Silu"), 80, 1, norm=False, act=kind_act
        )
        outputs += [box, kind]
    return outputs


def yolo640() -> onnx.ModelProto:
    """A YOLO-like detector at 1×3×640×640: backbone, feature pyramid, three heads (no box decoding)."""
    g = GraphBuilder("yolo640", channels={"x": 3})
    outputs = yolo_features(g, "Sigmoid")
    return g.model({"x": (1, 3, 640, 640)}, outputs)


def conv256() -> onnx.ModelProto:
    """One convolution 256→256 3×3 at 56×56 with ReLU."""
    g = GraphBuilder("conv256", channels={"x": 256})
    return g.model({"x": (1, 256, 56, 56)}, [g.conv("x", 256, 3, norm=False)])


def matmul1024() -> onnx.ModelProto:
    """1024×1024×1024 with a constant right operand."""
    g = GraphBuilder("matmul1024")
    w = g.weight(g.rng.standard_normal((1024, 1024)) / 32)
    return g.model({"x": (1024, 1024)}, [g.node("MatMul", ["x", w])])


def _half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inputs and outputs in f16, as a kernel in the middle of a network has them."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del model.graph.value_info[:]
    for i, tensor in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            model.graph.initializer[i].CopyFrom(
                numpy_helper.from_array(array.astype(np.float16), tensor.name)
            )
    return model


def add16mb() -> onnx.ModelProto:
    """Sum of two f16 tensors of 16 MB."""
    g = GraphBuilder("add16mb")
    shape = (2048, 4096)
    return _half(g.model({"a": shape, "b": shape}, [g.node("Add", ["a", "b"])]))


def softmax4096() -> onnx.ModelProto:
    """Softmax over the rows of a 4096×1024 f16 tensor."""
    g = GraphBuilder("softmax4096")
    return _half(g.model({"x": (4096, 1024)}, [g.node("Softmax", ["x"], axis=-1)]))


def layernorm4096() -> onnx.ModelProto:
    """LayerNormalization over the rows of a 4096×768 f16 tensor."""
    g = GraphBuilder("layernorm4096")
    scale, bias = g.weight(1 + 0.1 * g.rng.standard_normal(768)), g.weight(0.1 * g.rng.standard_normal(768))
    return _half(g.model({"x": (4096, 768)}, [g.node("LayerNormalization", ["x", scale, bias], axis=-1)]))


def transpose4096() -> onnx.ModelProto:
    """Transpose of a 4096×4096 f16 matrix."""
    g = GraphBuilder("transpose4096")
    return _half(g.model({"x": (4096, 4096)}, [g.node("Transpose", ["x"], perm=[1, 0])]))


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "conv256": conv256,
    "matmul1024": matmul1024,
    "add16mb": add16mb,
    "softmax4096": softmax4096,
    "layernorm4096": layernorm4096,
    "transpose4096": transpose4096,
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    "yolo640": yolo640,
}

BATCHED: dict[str, Callable[[int | str], onnx.ModelProto]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
}
"""Classifiers that take a batch size, or a name that leaves it open: their throughput is published
(`published.py`)."""
