"""Builds vector groups for tests, runs their kernels and compares with the nn interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ascend_mlir.dialects import ascend, dtypes, nn
from ascend_mlir.dialects.layouts import ND, Layout
from ascend_mlir.lowering.vector_kernel import generate
from ascend_mlir.runtime.interp.nn import run_block
from ascend_mlir.runtime.soc import load_soc
from ascend_mlir.runtime.weights import WeightStore
from numpy.typing import NDArray
from xdsl.dialects.test import TestOp
from xdsl.ir import Attribute, Block, Region, SSAValue

Array = NDArray[Any]
Build = Callable[..., SSAValue | Sequence[SSAValue]]


class Case:
    """One group: `build(block args) → results`, with operand types as (shape, dtype, layout)."""

    def __init__(
        self,
        operands: Sequence[tuple[Sequence[int], str, Layout]],
        build: Callable[[Adder, list[SSAValue]], Any],
        layout: Layout = ND,
    ) -> None:
        self.types: list[Attribute] = [_type(*o) for o in operands]
        self.source = TestOp(result_types=self.types)
        block = Block(arg_types=[ascend.logical(t) for t in self.types])
        results = build(Adder(block), list(block.args))
        self.results: list[SSAValue] = list(results) if isinstance(results, list) else [results]
        block.add_op(nn.YieldOp(*self.results))
        outs = [
            _type(
                nn.shape_of(r),
                nn.dtype_of(r),
                layout if len(nn.shape_of(r)) > 2 or layout.format.name != "NC1HWC0" else ND,
            )
            for r in self.results
        ]
        self.group = ascend.GroupOp("case", self.source.results, outs, "vector", Region(block))
        self.group.verify()

    simulate = False

    def reference(self, inputs: list[Array]) -> list[Array]:
        return run_block(self.group.body.block, inputs, WeightStore())

    def kernel(self, soc: str = "Ascend310P3") -> Any:
        kernel = generate(self.group, load_soc(soc), "case")
        kernel.verify()
        return kernel

    def packed(self, inputs: list[Array]) -> list[Array]:
        out: list[Array] = []
        for a, v in zip(inputs, self.group.inputs, strict=True):
            layout = ascend.layout_of(v)
            raw = a.astype(np.uint8) if a.dtype == np.bool_ else a
            out.append(layout.pack(raw))
        return out

    def run(self, inputs: list[Array], soc: str = "Ascend310P3") -> list[Array]:
        import vector_interpreter

        kernel = self.kernel(soc)
        sizes = [ascend.bytes_of(v) for v in self.group.outputs]
        if self.simulate:
            raw = simulate(kernel, self.packed(inputs), sizes, soc)
        else:
            raw = vector_interpreter.run(
                kernel, self.packed(inputs), sizes, load_soc(soc).core.buffers["ub"].size
            )
        found: list[Array] = []
        for data, v in zip(raw, self.group.outputs, strict=True):
            kind = np.dtype(dtypes.numpy_dtype(ascend.dtype_of(v)))
            array = data.view(np.uint8 if kind == np.bool_ else kind)
            layout = ascend.layout_of(v)
            logical = layout.unpack(array, ascend.shape_of(v))
            check = layout.pack(logical).reshape(-1)
            assert np.array_equal(check, array.reshape(-1), equal_nan=True), "padding is not zero"
            found.append(logical.astype(kind))
        return found


def simulate(kernel: Any, inputs: list[Array], sizes: list[int], name: str) -> list[Array]:
    """Through all passes and the encoder, then on the simulator."""
    from ascend_mlir.passes.davinci_pipeline import lower_kernel
    from ascend_mlir.runtime.sim.device import run_kernel
    from ascend_mlir.runtime.sim.hazards import GmRange, check_task
    from ascend_mlir.runtime.sim.program import load_program

    soc = load_soc(name)
    blocks = kernel.blocks.value.data
    image = lower_kernel(kernel, soc)
    places: list[tuple[int, int]] = []
    top = 512
    for size in [*(a.nbytes for a in inputs), *sizes]:
        places.append((top, size + 32))
        top += -(-(size + 32) // 512) * 512
    gm = np.full(top, 0xFF, np.uint8)
    for (start, _), array in zip(places, inputs, strict=False):
        gm[start : start + array.nbytes] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    args = [start for start, _ in places]
    ranges = [
        GmRange(start, size - 32, i < len(inputs), i >= len(inputs), str(i))
        for i, (start, size) in enumerate(places)
    ]
    found = check_task(soc, load_program(image), args, blocks, ranges)
    assert not found, "; ".join(map(str, found[:3]))
    run_kernel(soc, image, gm, args, blocks, allocations=places)
    out = places[len(inputs) :]
    return [gm[start : start + size].copy() for (start, _), size in zip(out, sizes, strict=True)]


class Adder:
    """Appends an op and gives its result."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def __call__(self, op: Any) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]


def _type(shape: Sequence[int], dtype: str, layout: Layout) -> Attribute:
    return ascend.with_layout(nn.tensor_type(shape, dtype), layout)


def random(shape: Sequence[int], dtype: str, seed: int, low: float = -4, high: float = 4) -> Array:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in ("i32", "i64", "i8", "u8"):
        return rng.integers(0 if dtype == "u8" else -100, 100, shape).astype(dtypes.numpy_dtype(dtype))
    return rng.uniform(low, high, shape).astype(dtypes.numpy_dtype(dtype))


def check(
    case: Case, inputs: list[Array], soc: str = "Ascend310P3", ulps: float = 2.0, absolute: float = 0.0
) -> float:
    """Compares; returns the largest error in ulps of the result type."""
    worst = 0.0
    for got, want in zip(case.run(inputs, soc), case.reference(inputs), strict=True):
        assert got.shape == want.shape
        if want.dtype.kind != "f":
            assert np.array_equal(got, want)
            continue
        unit = np.spacing(np.abs(want).astype(want.dtype)).astype(np.float64)
        error = np.abs(got.astype(np.float64) - want.astype(np.float64))
        error = np.where(
            (got == want) | (np.isnan(got) & np.isnan(want)), 0.0, np.maximum(error - absolute, 0) / unit
        )
        worst = max(worst, float(np.nanmax(error, initial=0.0)))
        assert not np.isnan(error).any() and worst <= ulps, f"{worst} ulps"
    return worst


def cycles(case: Case, soc: str = "Ascend310P3") -> Any:
    """Timing of the case's kernel with a cold L2."""
    from ascend_mlir.passes.davinci_pipeline import lower_kernel
    from ascend_mlir.runtime.sim.program import load_program
    from ascend_mlir.runtime.sim.timing import time_task

    kernel = case.kernel(soc)
    blocks = kernel.blocks.value.data
    args, top = [], 512
    for v in (*case.group.inputs, *case.group.outputs):
        args.append(top)
        top += -(-(ascend.bytes_of(v) + 32) // 512) * 512
    return time_task(load_soc(soc), load_program(lower_kernel(kernel, load_soc(soc))), args, blocks)
