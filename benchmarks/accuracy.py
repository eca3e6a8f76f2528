"""Accuracy of elementary functions on the simulated chip, in units in the last place.

    python benchmarks/accuracy.py [--functions Sin,Exp] [--socs Ascend310P3] [--results benchmarks/results/accuracy.txt]

Every function is a model of one node that is compiled and run on the simulator: in fp16 on all 65536 values, in fp32
on 10^6 (half of them random bit patterns of the function's domain, half evenly spread near zero).  The reference
is the function in float64.  Error: |result - reference| over the distance of neighbouring numbers of the result's
type in the binade of the reference, so that 0.5 is the best a rounded result can do.  fp16 results beyond 65504 count as 65504: the
arithmetic of these chips saturates (decision 0006).  Columns: largest error and where it occurs, mean error, and how many
of the inputs that are not numbers, or whose reference is none, give something else than the reference.

--document writes `docs/accuracy.md`, the bounds that are promised; `tests/e2e/test_accuracy.py` holds the compiler to
them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, pi
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from scipy import special  # noqa: E402

Array = np.ndarray
F16_MAX = 65504.0
SAMPLES = 1_000_000
OPSET = 20


@dataclass(frozen=True)
class Function:
    """An ONNX operator with a reference in float64.

    `half` and `single` are the errors in ulps that are promised; for fp32 in `domain`, where the samples come from, and half
    of them from ±near.  `second` is a constant second operand.
    """

    op: str
    reference: Callable[[Array], Array]
    domain: tuple[float, float] = (-inf, inf)
    attributes: dict[str, Any] = field(default_factory=dict)
    second: float | None = None
    opset: int = OPSET
    near: float = 20.0
    half: float = 0.55
    single: float = 3.0
    absolute: float = 0.0  # halves (singles: 2^-13 of it) that are off by less count as right
    note: str = ""

    def bound(self, dtype: str) -> float:
        return self.half if dtype == "float16" else self.single


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


SELU = 1.67326319217681884765625, 1.05070102214813232421875
FUNCTIONS: dict[str, Function] = {
    "Abs": Function("Abs", np.abs),
    "Acos": Function("Acos", np.arccos, (-1, 1), near=1),
    "Acosh": Function("Acosh", np.arccosh, (1, 1.6e38)),
    "Asin": Function("Asin", np.arcsin, (-1, 1), near=1),
    "Asinh": Function("Asinh", np.arcsinh, (-1.6e38, 1.6e38)),
    "Atan": Function("Atan", np.arctan),
    "Atanh": Function("Atanh", np.arctanh, (-1, 1), near=1),
    "Ceil": Function("Ceil", np.ceil),
    "Celu": Function("Celu", lambda x: _elu(x / 1.5) * 1.5, attributes={"alpha": 1.5}, half=1.2, single=3.5),
    "Cos": Function("Cos", np.cos, (-65504, 65504), single=3.5),
    "Cosh": Function("Cosh", np.cosh, (-88, 88)),
    "Elu": Function("Elu", _elu, half=0.75),
    "Erf": Function("Erf", special.erf, single=7.0),
    "Exp": Function("Exp", np.exp, (-87, 88)),
    "Floor": Function("Floor", np.floor),
    "Gelu": Function("Gelu", lambda x: x * special.ndtr(x), (-13, inf), half=1.4, single=8.0),
    "Gelu (tanh)": Function(
        "Gelu",
        lambda x: x * special.expit(2 * np.sqrt(2 / pi) * (x + 0.044715 * x**3)),
        (-9, inf),
        {"approximate": "tanh"},
        single=200.0,
        note="about |x³|/4 + 3 below 0: the exponent is rounded",
    ),
    "HardSigmoid": Function(
        "HardSigmoid",
        lambda x: np.clip(np.float32(0.2) * x + 0.5, 0, 1),
        absolute=0.00048828125,
        note="where the line crosses 0 and 1: an absolute error of 2^-11 (f16), 2^-24 (f32)",
    ),
    "HardSwish": Function("HardSwish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), half=2.5),
    "LeakyRelu": Function(
        "LeakyRelu", lambda x: np.where(x < 0, 0.01 * x, x), attributes={"alpha": 0.01}, half=1.0
    ),
    "Log": Function("Log", np.log, (0, inf)),
    "Mish": Function("Mish", lambda x: x * np.tanh(_softplus(x)), (-87, inf), opset=18, single=5.0),
    "Neg": Function("Neg", np.negative),
    "Pow 2": Function("Pow", np.square, second=2.0),
    "Pow 3": Function("Pow", lambda x: x**3, second=3.0, half=1.2),
    "Pow 0.5": Function("Pow", np.sqrt, (0, inf), second=0.5),
    "Pow -0.5": Function("Pow", lambda x: x**-0.5, (0, inf), second=-0.5),
    "Pow 1.7": Function(
        "Pow",
        lambda x: x**1.7,
        (0, inf),
        second=1.7,
        single=200.0,
        note="about |y·ln x| + 3: the exponent is rounded",
    ),
    "Reciprocal": Function("Reciprocal", np.reciprocal),
    "Relu": Function("Relu", lambda x: np.maximum(x, 0)),
    "Round": Function("Round", np.rint),
    "ScaledTanh": Function(
        "ScaledTanh",
        lambda x: 1.7 * np.tanh(0.66 * x),
        attributes={"alpha": 1.7, "beta": 0.66},
        opset=9,
        single=6.0,
    ),
    "Selu": Function("Selu", lambda x: SELU[1] * _elu(x, SELU[0]), half=0.8),
    "Sigmoid": Function("Sigmoid", special.expit, (-87, inf)),
    "Sign": Function("Sign", np.sign),
    "Sin": Function("Sin", np.sin, (-65504, 65504)),
    "Sinh": Function("Sinh", np.sinh, (-88, 88), single=4.5),
    "Softplus": Function("Softplus", _softplus, half=1.2),
    "Softsign": Function("Softsign", lambda x: x / (1 + np.abs(x))),
    "Sqrt": Function("Sqrt", np.sqrt, (0, inf)),
    "Swish": Function("Swish", lambda x: x * special.expit(x), (-87, inf), opset=24),
    "Tan": Function("Tan", np.tan, (-65504, 65504), single=6.0),
    "Tanh": Function("Tanh", np.tanh, single=4.0),
    "ThresholdedRelu": Function("ThresholdedRelu", lambda x: np.where(x > 1, x, 0)),
    "Div 3": Function("Div", lambda x: x / 3, second=3.0, half=0.7),
    "Mod 3": Function("Mod", lambda x: np.fmod(x, 3), (-65504, 65504), {"fmod": 1}, second=3.0),
}


def model_of(function: Function, dtype: str, count: int) -> onnx.ModelProto:
    """One node on a vector."""
    code = TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT
    node = helper.make_node(function.op, ["x"], ["y"], name="f", **function.attributes)
    weights: list[onnx.TensorProto] = []
    if function.second is not None:
        node.input.append("c")
        weights = [numpy_helper.from_array(np.array(function.second, dtype), "c")]
    value = [helper.make_tensor_value_info(name, code, [count]) for name in ("x", "y")]
    graph = helper.make_graph([node], "f", value[:1], value[1:], weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", function.opset)], ir_version=min(10, onnx.IR_VERSION)
    )


def samples(function: Function, dtype: str, count: int = SAMPLES) -> Array:
    """All halves, or floats of the domain."""
    if dtype == "float16":
        return np.arange(65536, dtype=np.uint16).view(np.float16)
    rng = np.random.default_rng(11)
    low, high = function.domain
    bits = rng.integers(0, 1 << 32, 4 * count, dtype=np.uint32).view(np.float32)
    bits = bits[np.isfinite(bits) & (bits >= low) & (bits <= high)][: count // 2]
    near = max(low, -function.near), min(high, function.near)
    even = rng.uniform(*near, count - bits.size).astype(np.float32)
    return np.concatenate([bits, even])


@dataclass(frozen=True)
class Accuracy:
    """What a function was off by."""

    name: str
    dtype: str
    worst: float
    at: float
    mean: float
    special: int


def measure(name: str, dtype: str, soc: str, count: int = SAMPLES) -> Accuracy:
    """Compiles, runs and compares one function; `count` is that of the fp32 samples."""
    from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
    from ascend_mlir.runtime.session import InferenceSession

    function = FUNCTIONS[name]
    x = samples(function, dtype, count)
    model = model_of(function, dtype, x.size)
    keep = ("f",) if dtype == "float32" else ()
    compiled = compile_model(model, CompileOptions(soc=soc, name="f", keep_dtype=keep))
    (got,) = InferenceSession(compiled.bytes).run(None, {"x": x})
    return compare(name, dtype, x, got)


def compare(name: str, dtype: str, x: Array, got: Array) -> Accuracy:
    """Errors in ulps of the result's type."""
    reference = FUNCTIONS[name].reference
    ignored = FUNCTIONS[name].absolute * (1 if dtype == "float16" else 2.0**-13)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
        wanted = np.clip(exact, -F16_MAX, F16_MAX) if dtype == "float16" else exact
        rounded = wanted.astype(dtype)
        numbers = np.isfinite(exact) & np.isfinite(rounded) & np.isfinite(x)
        least = np.finfo(dtype)
        power = np.maximum(np.frexp(np.abs(wanted))[1] - 1, np.log2(least.tiny)) - least.nmant
        unit = 2.0**power
        differences = np.abs(got.astype(np.float64) - wanted)
        errors = np.where(differences > ignored, differences, 0.0) / unit
    errors = np.where(np.isfinite(errors), errors, inf)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    inside = errors[numbers]
    at = int(np.argmax(inside))
    return Accuracy(
        name, dtype, float(inside[at]), float(x[numbers][at]), float(np.mean(inside[np.isfinite(inside)])),
        int(np.count_nonzero(~same & ~numbers)),
    )  # fmt: skip


def text(rows: list[Accuracy], soc: str) -> str:
    """The table."""
    lines = [
        f"Largest error in ulps, {soc}: fp16 on all 65536 values, fp32 on {SAMPLES} values of the domain.",
        "",
    ]
    lines.append(f"{'function':16} {'type':8} {'largest':>11} {'at':>14} {'mean':>9} {'special':>8}")
    lines += [
        f"{r.name:16} {r.dtype:8} {r.worst:11.3f} {r.at:14.7g} {r.mean:9.3f} {r.special:8}" for r in rows
    ]
    return "\n".join(lines)


INTRODUCTION = """# Accuracy of elementary functions

<!-- GENERATED by `python benchmarks/accuracy.py --document`: do not edit. -->

Largest error that is promised, in units in the last place of the result, on Ascend310P3: fp16 over all 65536 values, fp32 over
the domain given. 0.5 is a correctly rounded result. `tests/e2e/test_accuracy.py` holds the compiler to it; what was
measured, on the other chips too, is in `benchmarks/results/accuracy.txt`. The simulator rounds e^x, logarithm, root and
division of the vector unit correctly; what the chips' own units do is not public, and their error comes on top.

fp16 operands are computed in fp32 and rounded once; results beyond 65504 are 65504 (decision 0006). fp32 means nodes that
keep their type (`keep_dtype`). Ascend310 has no fp32 exponential and only an fp16 logarithm: what is made of them has an
fp16 error there whatever the type.

| function | fp16 | fp32 | domain in fp32 | |
|---|---|---|---|---|
"""


def document() -> str:
    """`docs/accuracy.md`"""

    def domain(low: float, high: float) -> str:
        return "all" if (low, high) == (-inf, inf) else f"{low:g} … {high:g}"

    rows = [
        f"| {name} | {f.half:g} | {f.single:g} | {domain(*f.domain)} | {f.note} |"
        for name, f in FUNCTIONS.items()
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--types", default="float16,float32")
    parser.add_argument("--socs", default="Ascend310P3")
    parser.add_argument("--results", metavar="FILE", help="also write the table there")
    parser.add_argument("--document", action="store_true", help="write docs/accuracy.md and stop")
    args = parser.parse_args()
    if args.document:
        (Path(__file__).resolve().parent.parent / "docs" / "accuracy.md").write_text(
            document(), encoding="utf-8"
        )
        return 0
    tables: list[str] = []
    failed = 0
    for soc in args.socs.split(","):
        rows = []
        for name in args.functions.split(","):
            for dtype in args.types.split(","):
                try:
                    rows.append(measure(name, dtype, soc))
                except Exception as error:  # one function must not hide the others
                    failed += 1
                    print(f"{name} in {dtype} on {soc}: {error}", file=sys.stderr)
        tables.append(text(rows, soc))
        print(tables[-1] + "\n")
    if args.results:
        Path(args.results).write_text("\n\n".join(tables) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
