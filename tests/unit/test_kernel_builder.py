"""Index arithmetic of the kernel builder: what it simplifies by ranges computes the same numbers."""

from __future__ import annotations

import math

import pytest
from ascend_mlir.dialects.davinci import BlockIdxOp
from ascend_mlir.lowering.kernel_builder import KernelBuilder
from ascend_mlir.runtime.soc import load_soc
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects import arith

BLOCKS = 8
_OPS = {
    arith.AddiOp: lambda a, b: a + b,
    arith.SubiOp: lambda a, b: a - b,
    arith.MuliOp: lambda a, b: a * b,
    arith.DivUIOp: lambda a, b: a // b,
    arith.RemUIOp: lambda a, b: a % b,
    arith.MinSIOp: min,
    arith.MaxSIOp: max,
}


def computed(kb, value, block):
    """The number that the kernel's operations give for `value` on a block."""
    known = {}
    for op in kb.kernel.body.block.ops:
        if isinstance(op, BlockIdxOp):
            known[op.result] = block
        elif isinstance(op, arith.ConstantOp):
            known[op.result] = op.value.value.data
        else:
            known[op.results[0]] = _OPS[type(op)](*(known[operand] for operand in op.operands))
    return value if isinstance(value, int) else known[value]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "sub", "mul", "div", "rem", "min", "max", "ceil_div", "share"]),
        st.integers(0, 40),
        st.integers(0, 40),
        st.integers(1, 48),
    ),
    min_size=1,
    max_size=12,
)


def apply(kb, step, values, plain):
    """Appends the results of one step, as the builder makes them and as plain numbers per block."""
    name, i, j, number = step
    i, j = i % len(values), j % len(values)
    a, b, x, y = values[i], values[j], plain[i], plain[j]
    blocks = range(BLOCKS)
    if name in ("div", "rem", "ceil_div"):  # of values that are never negative
        a, x = kb.max(a, 0), [max(n, 0) for n in x]
        quotient = {
            "div": lambda n: n // number,
            "rem": lambda n: n % number,
            "ceil_div": lambda n: -(-n // number),
        }
        values.append(getattr(kb, name)(a, number))
        plain.append([quotient[name](n) for n in x])
    elif name == "share":
        first, count = kb.share(number, kb.block_idx, BLOCKS)
        values.extend([first, count])
        ends = [(n * number // BLOCKS, (n + 1) * number // BLOCKS) for n in blocks]
        plain.extend([[low for low, _ in ends], [high - low for low, high in ends]])
    elif name == "mul":
        values.append(kb.mul(a, number - 24))
        plain.append([n * (number - 24) for n in x])
    else:
        function = {"add": lambda m, n: m + n, "sub": lambda m, n: m - n, "min": min, "max": max}[name]
        values.append(getattr(kb, name)(a, b))
        plain.append([function(m, n) for m, n in zip(x, y, strict=True)])


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_simplified_arithmetic_computes_the_same(steps):
    kb = KernelBuilder("indices", load_soc("Ascend310P3"), 1, BLOCKS)
    values, plain = [kb.block_idx, 17], [list(range(BLOCKS)), [17] * BLOCKS]
    for step in steps:
        apply(kb, step, values, plain)
    for value, numbers in zip(values, plain, strict=True):
        low, high = kb.range_of(value)
        assert not math.isnan(low) and not math.isnan(high)
        assert low <= min(numbers) and max(numbers) <= high
    made = [kb.value(value) for value in values]
    for block in range(BLOCKS):
        assert [computed(kb, value, block) for value in made] == [numbers[block] for numbers in plain]


def test_nothing_is_known_of_a_product_of_values():
    """What is infinite stays so through quotients (// of an infinite float is NaN, which compares with nothing)."""
    kb = KernelBuilder("indices", load_soc("Ascend310P3"), 1, BLOCKS)
    square = kb.mul(kb.block_idx, kb.value(kb.block_idx))
    first, count = kb.share(kb.div(square, 32), kb.block_idx, BLOCKS)
    assert kb.range_of(count)[1] == math.inf
    assert kb.range_of(first) == (0, math.inf)


@pytest.mark.parametrize(
    ("granules", "most", "one"), [(14, 4, True), (14, 3, False), (16, 4, True), (15, 4, True)]
)
def test_shares_that_differ_by_one(granules, most, one):
    """Three or four rows on each of four blocks are one tile of four, and up to two of three."""
    kb = KernelBuilder("indices", load_soc("Ascend310P3"), 1, 4)
    _, count = kb.partition(granules)
    assert (kb.ceil_div(count, most) == 1) is one
