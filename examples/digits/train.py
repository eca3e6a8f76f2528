"""Train a small convolutional network on scikit-learn's handwritten digits and export it as ONNX.

    python examples/digits/train.py

needs scikit-learn (`pip install -e '.[example]'`) and half a minute. The results, `digits.onnx` and the
test images in `digits_test.npz`, are part of the repository, so `demo.py` needs neither. The seed is fixed:
the same numbers every time.

The network is plain numpy: each layer is a function that returns its output and a function from the
gradient of its output to the gradient of its input (and, for layers with parameters, to those of the
parameters).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array: TypeAlias = NDArray[Any]
Backward: TypeAlias = Callable[[Array], Array]
Parameters: TypeAlias = dict[str, Array]

FOLDER = Path(__file__).parent
SEED = 20
EPOCHS = 40
BATCH = 32
RATE = 2e-3
TEST_SHARE = 5  # every fifth image


def windows(image: Array) -> Array:
    """All 3x3 windows of a zero-padded image: [n, c, h, w] → [n, h, w, c * 9]."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    n, c, h, w = image.shape
    return views.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)


def conv(
    image: Array, weight: Array, bias: Array
) -> tuple[Array, Callable[[Array], tuple[Array, Array, Array]]]:
    """3x3 convolution, stride 1, padded to the same size."""
    columns = windows(image)
    kernel = weight.reshape(weight.shape[0], -1)
    output = (columns @ kernel.T + bias).transpose(0, 3, 1, 2)

    def backward(gradient: Array) -> tuple[Array, Array, Array]:
        rows = gradient.transpose(0, 2, 3, 1)
        by_kernel = np.tensordot(rows, columns, axes=([0, 1, 2], [0, 1, 2])).reshape(weight.shape)
        flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3).reshape(weight.shape[1], -1)
        return (windows(gradient) @ flipped.T).transpose(0, 3, 1, 2), by_kernel, rows.sum((0, 1, 2))

    return output, backward


def relu(x: Array) -> tuple[Array, Backward]:
    """max(x, 0)"""
    return np.maximum(x, 0), lambda gradient: gradient * (x > 0)


def max_pool(x: Array) -> tuple[Array, Backward]:
    """Maximum of 2x2 windows."""
    n, c, h, w = x.shape
    blocks = (
        x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    )
    best = blocks.argmax(-1)

    def backward(gradient: Array) -> Array:
        spread = np.zeros_like(blocks)
        np.put_along_axis(spread, best[..., None], gradient[..., None], -1)
        tiles = spread.reshape(n, c, h // 2, w // 2, 2, 2)
        return tiles.transpose(0, 1, 2, 4, 3, 5).reshape(x.shape)

    return blocks.max(-1), backward


def initial_parameters(rng: np.random.Generator) -> Parameters:
    """He initialisation."""

    def normal(*shape: int) -> Array:
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    return {
        "conv1.weight": normal(16, 1, 3, 3),
        "conv1.bias": np.zeros(16, np.float32),
        "conv2.weight": normal(32, 16, 3, 3),
        "conv2.bias": np.zeros(32, np.float32),
        "fc.weight": normal(10, 128),
        "fc.bias": np.zeros(10, np.float32),
    }


def gradients(p: Parameters, images: Array, labels: Array) -> Parameters:
    """Gradients of the mean cross entropy."""
    a1, back_conv1 = conv(images, p["conv1.weight"], p["conv1.bias"])
    r1, back_relu1 = relu(a1)
    m1, back_pool1 = max_pool(r1)
    a2, back_conv2 = conv(m1, p["conv2.weight"], p["conv2.bias"])
    r2, back_relu2 = relu(a2)
    m2, back_pool2 = max_pool(r2)
    flat = m2.reshape(len(images), -1)
    scores = flat @ p["fc.weight"].T + p["fc.bias"]
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    gradient = shares / len(labels)
    by_flat = (gradient @ p["fc.weight"]).reshape(m2.shape)
    by_m1, w2, b2 = back_conv2(back_relu2(back_pool2(by_flat)))
    _, w1, b1 = back_conv1(back_relu1(back_pool1(by_m1)))
    return {
        "conv1.weight": w1,
        "conv1.bias": b1,
        "conv2.weight": w2,
        "conv2.bias": b2,
        "fc.weight": gradient.T @ flat,
        "fc.bias": gradient.sum(0),
    }


def predict(p: Parameters, images: Array) -> Array:
    """The most likely digit of each image."""
    hidden = max_pool(relu(conv(images, p["conv1.weight"], p["conv1.bias"])[0])[0])[0]
    hidden = max_pool(relu(conv(hidden, p["conv2.weight"], p["conv2.bias"])[0])[0])[0]
    return (hidden.reshape(len(images), -1) @ p["fc.weight"].T + p["fc.bias"]).argmax(1)


def train(images: Array, labels: Array, rng: np.random.Generator) -> Parameters:
    """Adam with the usual constants and a rate that falls to zero."""
    p = initial_parameters(rng)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    step, steps = 0, EPOCHS * (len(images) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for name, g in gradients(p, images[chosen], labels[chosen]).items():
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.999 * second[name] + 0.001 * g * g
                mean, spread = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                p[name] = (p[name] - rate * mean / (np.sqrt(spread) + 1e-8)).astype(np.float32)
    return p


def export(p: Parameters) -> onnx.ModelProto:
    """The network as ONNX, with an open batch size."""
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("MaxPool", ["r1"], ["m1"], "pool1", **pool),
        helper.make_node("Conv", ["m1", "conv2.weight", "conv2.bias"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("MaxPool", ["r2"], ["m2"], "pool2", **pool),
        helper.make_node("Flatten", ["m2"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["scores"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in p.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="ascend-mlir example"
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, say how well, write both files."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 16).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    test = np.arange(len(images)) % TEST_SHARE == 0
    parameters = train(images[~test], labels[~test], np.random.default_rng(SEED))
    accuracy = float((predict(parameters, images[test]) == labels[test]).mean())
    print(f"{test.sum()} test images, accuracy {accuracy:.4f}")
    onnx.save(export(parameters), FOLDER / "digits.onnx")
    np.savez_compressed(FOLDER / "digits_test.npz", images=images[test], labels=labels[test].astype(np.uint8))


if __name__ == "__main__":
    main()
