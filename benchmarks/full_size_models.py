"""Transformers, diffusion and detection in their published sizes, built with fixed seeds (`full_size.py`).

Each graph is what the usual exporters write: attention as MatMul, Softmax, MatMul, normalisations of LLaMA as
their formulas, rotary positions as slices and concatenations.  Weights are random, of the spread with which such
networks start training, so that numbers keep their size from layer to layer as they do in trained ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from models import OPSET, GraphBuilder, yolo_features
from onnx import TensorProto, helper, numpy_helper

SPREAD = 0.02
"""Standard deviation of a transformer's weights (BERT's and GPT-2's initializer_range)."""


class NetworkBuilder(GraphBuilder):
    """`GraphBuilder` with what transformers need: integers, products, normalisations, attention."""

    def random(self, *shape: int, spread: float = SPREAD, mean: float = 0.0) -> str:
        return self.weight(mean + spread * self.rng.standard_normal(shape, dtype=np.float32))

    def constant(self, array: np.ndarray) -> str:
        """A weight in its own type: integers, masks, tables."""
        name = self.fresh("const")
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def linear(self, x: str, inner: int, outer: int, bias: bool = True) -> str:
        y = self.node("MatMul", [x, self.random(inner, outer)])
        return self.node("Add", [y, self.random(outer)]) if bias else y

    def layer_norm(self, x: str, width: int) -> str:
        scale, bias = self.random(width, mean=1.0, spread=0.1), self.random(width, spread=0.1)
        return self.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=1e-5)

    def rms_norm(self, x: str, width: int) -> str:
        mean = self.node("ReduceMean", [self.node("Pow", [x, self.scalar(2.0)])], axes=[-1], keepdims=1)
        root = self.node("Sqrt", [self.node("Add", [mean, self.scalar(1e-5)])])
        return self.node("Mul", [self.random(width, mean=1.0, spread=0.1), self.node("Div", [x, root])])

    def gelu(self, x: str) -> str:
        """The exact function as PyTorch exports it."""
        inner = self.node("Erf", [self.node("Div", [x, self.scalar(float(np.sqrt(2.0)))])])
        y = self.node("Mul", [x, self.node("Add", [inner, self.scalar(1.0)])])
        return self.node("Mul", [y, self.scalar(0.5)])

    def gelu_tanh(self, x: str) -> str:
        """GPT-2's approximation as PyTorch exports it."""
        cube = self.node("Mul", [self.node("Pow", [x, self.scalar(3.0)]), self.scalar(0.044715)])
        inner = self.node("Mul", [self.node("Add", [x, cube]), self.scalar(float(np.sqrt(2.0 / np.pi)))])
        y = self.node("Add", [self.node("Tanh", [inner]), self.scalar(1.0)])
        return self.node("Mul", [self.node("Mul", [x, self.scalar(0.5)]), y])

    def silu(self, x: str) -> str:
        return self.keep(self.node("Mul", [x, self.node("Sigmoid", [x])]), self.channels.get(x, 0))

    def heads(self, x: str, rows: int, heads: int, size: int) -> str:
        """[1, rows, heads·size] → [1, heads, rows, size]"""
        return self.node(
            "Transpose", [self.node("Reshape", [x, self.ints(1, rows, heads, size)])], perm=[0, 2, 1, 3]
        )

    def attend(self, q: str, k: str, v: str, rows: int, heads: int, size: int, mask: str = "") -> str:
        """softmax(q·kᵀ/√size + mask)·v of [1, heads, rows, size], as [1, rows, heads·size]."""
        scores = self.node("MatMul", [q, self.node("Transpose", [k], perm=[0, 1, 3, 2])])
        scores = self.node("Div", [scores, self.scalar(float(np.sqrt(size)))])
        if mask:
            scores = self.node("Add", [scores, mask])
        y = self.node("MatMul", [self.node("Softmax", [scores], axis=-1), v])
        y = self.node("Transpose", [y], perm=[0, 2, 1, 3])
        return self.node("Reshape", [y, self.ints(1, rows, heads * size)])

    def attention(self, x: str, context: str, rows: int, columns: int, width: int, inner: int, heads: int,
                  bias: bool = True) -> str:  # fmt: skip
        """Multi-head attention of `rows` positions of width `width` to `columns` of width `inner`."""
        size = width // heads
        q = self.heads(self.linear(x, width, width, bias), rows, heads, size)
        k = self.heads(self.linear(context, inner, width, bias), columns, heads, size)
        v = self.heads(self.linear(context, inner, width, bias), columns, heads, size)
        return self.linear(self.attend(q, k, v, rows, heads, size), width, width)

    def split(self, x: str, count: int, axis: int) -> list[str]:
        name = self.fresh("split")
        outs = [f"{name}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node("Split", [x], outs, name=name, axis=axis))
        return outs

    def finish(self, inputs: dict[str, tuple[int, ...]], outputs: list[str]) -> onnx.ModelProto:
        """The model; inputs called `…ids` are int64, all others float."""
        types = {n: TensorProto.INT64 if n.endswith("ids") else TensorProto.FLOAT for n in inputs}
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info(n, types[n], s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
            self.weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made)


# ------------------------------------------------------------------------------------------- encoders
def _encoder_layer(g: NetworkBuilder, x: str, rows: int, width: int, heads: int, before: bool) -> str:
    """A layer with its normalisations before (ViT) or after (BERT) the two halves."""
    z = g.layer_norm(x, width) if before else x
    x = g.node("Add", [x, g.attention(z, z, rows, rows, width, width, heads)])
    x = x if before else g.layer_norm(x, width)
    z = g.layer_norm(x, width) if before else x
    z = g.linear(g.gelu(g.linear(z, width, 4 * width)), 4 * width, width)
    x = g.node("Add", [x, z])
    return x if before else g.layer_norm(x, width)


def bert_base(rows: int = 128) -> onnx.ModelProto:
    """BERT-base: 12 layers of 768, 12 heads, 128 tokens of a vocabulary of 30522, with embeddings and pooler."""
    g = NetworkBuilder("bert_base")
    width = 768
    words = g.node("Gather", [g.random(30522, width), "input_ids"])
    kinds = g.node("Gather", [g.random(2, width), "token_type_ids"])
    x = g.node("Add", [g.node("Add", [words, kinds]), g.random(1, rows, width)])
    x = g.layer_norm(x, width)
    for _ in range(12):
        x = _encoder_layer(g, x, rows, width, 12, before=False)
    first = g.node("Gather", [x, g.constant(np.array(0, np.int64))], axis=1)
    pooled = g.node("Tanh", [g.linear(first, width, width)])
    return g.finish({"input_ids": (1, rows), "token_type_ids": (1, rows)}, [x, pooled])


def vit_base() -> onnx.ModelProto:
    """ViT-B/16 at 224×224: 196 patches and a class token, 12 layers of 768."""
    g = NetworkBuilder("vit_base")
    width, rows = 768, 197
    w = g.random(width, 3, 16, 16)
    x = g.node("Conv", ["image", w, g.random(width)], kernel_shape=[16, 16], strides=[16, 16])
    x = g.node("Transpose", [g.node("Reshape", [x, g.ints(1, width, 196)])], perm=[0, 2, 1])
    x = g.node("Concat", [g.random(1, 1, width), x], axis=1)
    x = g.node("Add", [x, g.random(1, rows, width)])
    for _ in range(12):
        x = _encoder_layer(g, x, rows, width, 12, before=True)
    x = g.layer_norm(x, width)
    first = g.node("Gather", [x, g.constant(np.array(0, np.int64))], axis=1)
    return g.finish({"image": (1, 3, 224, 224)}, [g.linear(first, width, 1000)])


# ------------------------------------------------------------------------------------------- decoders
def gpt2(rows: int = 128, past: int = 0) -> onnx.ModelProto:
    """GPT-2 small (12 layers of 768, vocabulary 50257) for `rows` new tokens behind `past` cached ones."""
    g = NetworkBuilder("gpt2")
    width, heads, size, total = 768, 12, 64, past + rows
    table = g.random(50257, width)
    x = g.node("Gather", [table, "input_ids"])
    x = g.node("Add", [x, g.random(1, rows, width, spread=0.01)])
    above = np.triu(np.full((rows, total), -10000.0, np.float32), past + 1)
    mask = g.constant(above[None, None]) if rows > 1 else ""
    inputs: dict[str, tuple[int, ...]] = {"input_ids": (1, rows)}
    outputs: list[str] = []
    for layer in range(12):
        parts = g.split(g.linear(g.layer_norm(x, width), width, 3 * width), 3, axis=2)
        q, k, v = (g.heads(part, rows, heads, size) for part in parts)
        if past:
            for kind in ("key", "value"):
                inputs[f"past_{layer}_{kind}"] = (1, heads, past, size)
            k = g.node("Concat", [f"past_{layer}_key", k], axis=2)
            v = g.node("Concat", [f"past_{layer}_value", v], axis=2)
        outputs += [k, v]
        x = g.node("Add", [x, g.linear(g.attend(q, k, v, rows, heads, size, mask), width, width)])
        z = g.gelu_tanh(g.linear(g.layer_norm(x, width), width, 4 * width))
        x = g.node("Add", [x, g.linear(z, 4 * width, width)])
    logits = g.node("MatMul", [g.layer_norm(x, width), g.node("Transpose", [table], perm=[1, 0])])
    return g.finish(inputs, [logits, *outputs])


def _rotate(g: NetworkBuilder, x: str, cosines: str, sines: str, size: int) -> str:
    """Rotary positions: x·cos + rotate_half(x)·sin."""
    low = g.node("Slice", [x, g.ints(0), g.ints(size // 2), g.ints(3)])
    high = g.node("Slice", [x, g.ints(size // 2), g.ints(size), g.ints(3)])
    turned = g.node("Concat", [g.node("Neg", [high]), low], axis=3)
    return g.node("Add", [g.node("Mul", [x, cosines]), g.node("Mul", [turned, sines])])


def _rotary_attention(g: NetworkBuilder, x: str, rows: int, width: int, heads: int, groups: int) -> str:
    """Causal attention with rotary positions; `groups` heads of keys and values serve all heads of queries."""
    size = width // heads
    angles = np.arange(rows)[:, None] * 10000.0 ** (-np.arange(0, size, 2) / size)
    angles = np.concatenate([angles, angles], axis=1).astype(np.float32)[None, None]
    cosines, sines = g.constant(np.cos(angles)), g.constant(np.sin(angles))
    q = g.heads(g.linear(x, width, width, bias=False), rows, heads, size)
    k = g.heads(g.linear(x, width, groups * size, bias=False), rows, groups, size)
    v = g.heads(g.linear(x, width, groups * size, bias=False), rows, groups, size)
    q, k = _rotate(g, q, cosines, sines, size), _rotate(g, k, cosines, sines, size)
    if groups < heads:
        for_all = g.ints(1, groups, heads // groups, rows, size)
        k, v = (
            g.node("Reshape", [g.node("Expand", [g.node("Unsqueeze", [t, g.ints(2)]), for_all]), g.ints(1, heads, rows, size)])
            for t in (k, v)
        )  # fmt: skip
    mask = g.constant(np.triu(np.full((rows, rows), -10000.0, np.float32), 1)[None, None])
    y = g.attend(q, k, v, rows, heads, size, mask)
    return g.linear(y, width, width, bias=False)


def _gated(g: NetworkBuilder, x: str, width: int, inner: int) -> str:
    """down(silu(gate(x)) · up(x))"""
    gate, up = g.linear(x, width, inner, bias=False), g.linear(x, width, inner, bias=False)
    return g.linear(g.node("Mul", [g.silu(gate), up]), inner, width, bias=False)


def llama_layer(rows: int = 128) -> onnx.ModelProto:
    """A decoder layer of LLaMA-7B: width 4096, 32 heads, inner width 11008; 128 tokens."""
    g = NetworkBuilder("llama_layer")
    width = 4096
    x = g.node("Add", ["x", _rotary_attention(g, g.rms_norm("x", width), rows, width, 32, 32)])
    x = g.node("Add", [x, _gated(g, g.rms_norm(x, width), width, 11008)])
    return g.finish({"x": (1, rows, width)}, [x])


def mixtral_layer(rows: int = 64) -> onnx.ModelProto:
    """A Mixtral layer at half the widths of 8×7B: 2048 (4096), inner 7168 (14336), 16 heads on 4, 8 experts, 2 per token.

    All experts see all tokens and the weights of those not chosen are zero: the form of exports with fixed sizes.
    """
    g = NetworkBuilder("mixtral_layer")
    width, inner, experts = 2048, 7168, 8
    x = g.node("Add", ["x", _rotary_attention(g, g.rms_norm("x", width), rows, width, 16, 4)])
    z = g.rms_norm(x, width)
    odds = g.node("Softmax", [g.node("MatMul", [z, g.random(width, experts, spread=0.05)])], axis=-1)
    top = g.fresh("topk")
    g.nodes.append(helper.make_node("TopK", [odds, g.ints(2)], [f"{top}_v", f"{top}_i"], name=top, axis=-1))
    total = g.node("ReduceSum", [f"{top}_v", g.ints(-1)], keepdims=1)
    chosen = g.node("Div", [f"{top}_v", total])
    zeros = g.constant(np.zeros((1, rows, experts), np.float32))
    shares = g.node("ScatterElements", [zeros, f"{top}_i", chosen], axis=2)
    parts = [g.node("Mul", [_gated(g, z, width, inner), share]) for share in g.split(shares, experts, axis=2)]
    y = parts[0]
    for part in parts[1:]:
        y = g.node("Add", [y, part])
    return g.finish({"x": (1, rows, width)}, [g.node("Add", [x, y])])


# ------------------------------------------------------------------------------------------- diffusion
@dataclass
class _Unet:
    """Blocks of the UNet of Stable Diffusion 1.5 (32 groups, 8 heads, text of 77×768, times of 1280)."""

    g: NetworkBuilder

    def group_norm(self, x: str, size: int, epsilon: float = 1e-5) -> str:
        """As PyTorch exports it: InstanceNormalization of 32 rows, then scale and bias per channel."""
        g, width = self.g, self.g.channels[x]
        ones, zeros = g.constant(np.ones(32, np.float32)), g.constant(np.zeros(32, np.float32))
        y = g.node("Reshape", [x, g.ints(1, 32, -1)])
        y = g.node("InstanceNormalization", [y, ones, zeros], epsilon=epsilon)
        y = g.node("Reshape", [y, g.ints(1, width, size, size)])
        y = g.node("Mul", [y, g.random(width, 1, 1, mean=1.0, spread=0.1)])
        return g.keep(g.node("Add", [y, g.random(width, 1, 1, spread=0.1)]), width)

    def conv(self, x: str, cout: int, kernel: int = 3, stride: int = 1) -> str:
        return self.g.conv(x, cout, kernel, stride, norm=False, act="")

    def residual(self, x: str, cout: int, size: int) -> str:
        g = self.g
        y = self.conv(g.silu(self.group_norm(x, size)), cout)
        time = g.linear(g.silu("time"), 1280, cout)
        y = g.keep(g.node("Add", [y, g.node("Reshape", [time, g.ints(1, cout, 1, 1)])]), cout)
        y = self.conv(g.silu(self.group_norm(y, size)), cout)
        short = x if g.channels[x] == cout else self.conv(x, cout, 1)
        return g.add(short, y)

    def transformer(self, x: str, size: int) -> str:
        g, width, rows = self.g, self.g.channels[x], size * size
        y = self.conv(self.group_norm(x, size, 1e-6), width, 1)
        y = g.node("Reshape", [g.node("Transpose", [y], perm=[0, 2, 3, 1]), g.ints(1, rows, width)])
        z = g.layer_norm(y, width)
        y = g.node("Add", [y, g.attention(z, z, rows, rows, width, width, 8, bias=False)])
        z = g.layer_norm(y, width)
        y = g.node("Add", [y, g.attention(z, "text", rows, 77, width, 768, 8, bias=False)])
        z = g.linear(g.layer_norm(y, width), width, 8 * width)
        left, right = g.split(z, 2, axis=2)
        z = g.linear(g.node("Mul", [left, g.gelu(right)]), 4 * width, width)
        y = g.node("Add", [y, z])
        y = g.node("Transpose", [g.node("Reshape", [y, g.ints(1, size, size, width)])], perm=[0, 3, 1, 2])
        return g.add(self.conv(g.keep(y, width), width, 1), x)

    def upsample(self, x: str) -> str:
        g = self.g
        scales = g.constant(np.array([1, 1, 2, 2], np.float32))
        y = g.node("Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric",
                   nearest_mode="floor")  # fmt: skip
        return self.conv(g.keep(y, g.channels[x]), g.channels[x])

    def joined(self, x: str, skip: str) -> str:
        g = self.g
        return g.keep(g.node("Concat", [x, skip], axis=1), g.channels[x] + g.channels[skip])


def sd_unet() -> onnx.ModelProto:
    """Blocks of Stable Diffusion 1.5 on 64×64 latents: down 320 and 640, mid 1280, up 640 and 320.

    Levels 3 and 4 of the full network (1280 at 16×16 and 8×8) are left out, the mid block works at 16×16; each down
    block has two layers and each up block three, as there.
    """
    g = NetworkBuilder("sd_unet", channels={"latent": 4})
    u = _Unet(g)
    x = u.conv("latent", 320)
    skips = [x]
    for width, size in ((320, 64), (640, 32)):
        for _ in range(2):
            x = u.transformer(u.residual(x, width, size), size)
            skips.append(x)
        x = u.conv(x, width, 3, 2)
        skips.append(x)
    skips.pop()  # what leaves the last down block goes to the mid block only
    x = u.residual(u.transformer(u.residual(x, 1280, 16), 16), 1280, 16)
    for width, size in ((640, 32), (320, 64)):
        x = u.upsample(x)
        for _ in range(3):
            x = u.transformer(u.residual(u.joined(x, skips.pop()), width, size), size)
    x = u.conv(g.silu(u.group_norm(x, 64)), 4)
    return g.finish({"latent": (1, 4, 64, 64), "time": (1, 1280), "text": (1, 77, 768)}, [x])


# ------------------------------------------------------------------------------------------- detection
def yolov8n() -> onnx.ModelProto:
    """YOLOv8n at 640×640, 80 classes, with the decoding of boxes: [1, 84, 8400]."""
    g = NetworkBuilder("yolov8n", channels={"x": 3})
    levels = yolo_features(g)
    flat: list[str] = []
    for boxes, kinds, size in zip(levels[0::2], levels[1::2], (80, 40, 20), strict=True):
        both = g.node("Concat", [boxes, kinds], axis=1)
        flat.append(g.node("Reshape", [both, g.ints(1, 144, size * size)]))
    both = g.node("Concat", flat, axis=2)
    name = g.fresh("split")
    sizes = g.ints(64, 80)
    g.nodes.append(
        helper.make_node("Split", [both, sizes], [f"{name}_box", f"{name}_kind"], name=name, axis=1)
    )
    spread = g.node("Reshape", [f"{name}_box", g.ints(1, 4, 16, 8400)])
    spread = g.node("Softmax", [g.node("Transpose", [spread], perm=[0, 2, 1, 3])], axis=1)
    bins = g.weight(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1))
    sides = g.node("Reshape", [g.node("Conv", [spread, bins], kernel_shape=[1, 1]), g.ints(1, 4, 8400)])
    grids = [np.stack(np.meshgrid(np.arange(s), np.arange(s)), 0).reshape(2, -1) + 0.5 for s in (80, 40, 20)]
    anchors = g.constant(np.concatenate(grids, 1)[None].astype(np.float32))
    steps = np.concatenate([np.full(s * s, 640 / s) for s in (80, 40, 20)])[None, None].astype(np.float32)
    before, behind = g.split(sides, 2, axis=1)
    low, high = g.node("Sub", [anchors, before]), g.node("Add", [anchors, behind])
    middle = g.node("Div", [g.node("Add", [low, high]), g.scalar(2.0)])
    box = g.node("Concat", [middle, g.node("Sub", [high, low])], axis=1)
    box = g.node("Mul", [box, g.constant(steps)])
    return g.finish(
        {"x": (1, 3, 640, 640)},
        [g.node("Concat", [box, g.node("Sigmoid", [f"{name}_kind"])], axis=1)],
    )


FULL_SIZE: dict[str, Callable[[], onnx.ModelProto]] = {
    "bert_base": bert_base,
    "vit_base": vit_base,
    "gpt2_prefill": gpt2,
    "gpt2_decode": lambda: gpt2(1, 127),
    "llama_layer": llama_layer,
    "mixtral_layer": mixtral_layer,
    "sd_unet": sd_unet,
    "yolov8n": yolov8n,
}
