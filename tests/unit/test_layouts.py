"""The layout algebra against an element-by-element definition written independently from the published
formulas."""

from __future__ import annotations

from itertools import product
from math import ceil, lcm, prod

import numpy as np
import pytest
from ascend_mlir.dialects import layouts
from ascend_mlir.dialects.layouts import ND, Format, Layout
from hypothesis import given, settings
from hypothesis import strategies as st


def reference_offset(layout: Layout, shape: tuple[int, ...], index: tuple[int, ...]) -> int:
    """davinci.md section 5, spelled out."""
    c0 = layout.c0
    match layout.format:
        case Format.ND | Format.NCHW:
            return int(np.ravel_multi_index(index, shape)) if shape else 0
        case Format.NHWC:
            n, c, h, w = index
            _, cs, hs, ws = shape
            return ((n * hs + h) * ws + w) * cs + c
        case Format.NC1HWC0:
            n, c, h, w = index if len(index) == 4 else (0, index[0], 0, 0)
            _, cs, hs, ws = shape if len(shape) == 4 else (1, shape[0], 1, 1)
            return (((n * ceil(cs / c0) + c // c0) * hs + h) * ws + w) * c0 + c % c0
        case Format.FRACTAL_NZ:
            *batch, m, n = (0, *index) if len(index) == 1 else index
            *batch_shape, ms, ns = (1, *shape) if len(shape) == 1 else shape
            m1, n1 = ceil(ms / 16), ceil(ns / c0)
            b = int(np.ravel_multi_index(tuple(batch), tuple(batch_shape))) if batch else 0
            return b * n1 * m1 * 16 * c0 + ((n // c0) * m1 * 16 + m) * c0 + n % c0
        case Format.FRACTAL_Z:
            if len(shape) == 2:
                c, n = index
                return (c // c0) * ceil(shape[1] / 16) * 16 * c0 + n * c0 + c % c0
            cout_all, cin, hs, ws = shape
            cout, groups = cout_all // layout.groups, layout.groups
            g, n = divmod(index[0], cout)
            _, c, h, w = index
            e = min(lcm(lcm(cin, c0) // cin, lcm(cout, 16) // cout), groups)
            cin_opt, cout_opt = ceil(e * cin / c0) * c0, ceil(e * cout / 16) * 16
            ci, co = (g % e) * cin + c, (g % e) * cout + n
            row = (((g // e) * (cin_opt // c0) + ci // c0) * hs + h) * ws + w
            return row * cout_opt * c0 + co * c0 + ci % c0
        case Format.C1HWNCOC0:
            mult = shape[0] // layout.groups
            c, n = divmod(index[0], mult)
            return ((((c // c0) * shape[2] + index[2]) * shape[3] + index[3]) * mult + n) * c0 * c0 + (
                c % c0
            ) * (c0 + 1)


dims = st.integers(1, 40)
small = st.integers(1, 5)
c0s = st.sampled_from([8, 16, 32])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Layout, tuple[int, ...]]:
    fmt = draw(st.sampled_from(list(Format)))
    c0 = draw(c0s)
    match fmt:
        case Format.ND:
            return ND, tuple(draw(st.lists(small, max_size=4)))
        case Format.NCHW | Format.NHWC:
            return Layout(fmt), tuple(draw(small) for _ in range(4))
        case Format.NC1HWC0:
            if draw(st.booleans()):
                return Layout(fmt, c0), (draw(dims),)
            return Layout(fmt, c0), (draw(small), draw(dims), draw(small), draw(small))
        case Format.FRACTAL_NZ:
            batch = tuple(draw(st.lists(small, max_size=2)))
            tail = (draw(dims),) if not batch and draw(st.booleans()) else (draw(dims), draw(dims))
            return Layout(fmt, c0), (*batch, *tail)
        case Format.FRACTAL_Z:
            if draw(st.booleans()):
                return Layout(fmt, c0), (draw(dims), draw(dims))
            groups = draw(st.integers(1, 9))
            shape = (
                groups * draw(st.integers(1, 20)),
                draw(st.integers(1, 20)),
                draw(st.integers(1, 3)),
                draw(small),
            )
            return Layout(fmt, c0, groups), shape
        case Format.C1HWNCOC0:
            groups = draw(st.integers(1, 40))
            return Layout(fmt, c0, groups), (groups * draw(st.integers(1, 3)), 1, draw(small), draw(small))


@given(cases())
@settings(max_examples=300, deadline=None)
def test_pack_is_the_definition(case: tuple[Layout, tuple[int, ...]]) -> None:
    layout, shape = case
    array = np.arange(1, prod(shape) + 1, dtype=np.int32).reshape(shape)
    packed = layout.pack(array)
    assert packed.shape == layout.physical_shape(shape)
    assert packed.nbytes == layout.byte_size(shape, "i32")
    expected = np.zeros(packed.size, np.int32)
    for index in product(*map(range, shape)):
        expected[reference_offset(layout, shape, index)] = array[index]
    np.testing.assert_array_equal(packed.reshape(-1), expected)
    np.testing.assert_array_equal(layout.unpack(packed, shape), array)


@given(cases(), st.data())
@settings(max_examples=200, deadline=None)
def test_offset(case: tuple[Layout, tuple[int, ...]], data: st.DataObject) -> None:
    layout, shape = case
    index = tuple(data.draw(st.integers(0, s - 1)) for s in shape)
    assert layout.offset(shape, index) == reference_offset(layout, shape, index)


def test_pitch() -> None:
    layout = Layout(Format.ND, pitch=32)
    array = np.arange(30, dtype=np.float16).reshape(2, 3, 5)
    assert layout.physical_shape((2, 3, 5), 2) == (2, 3, 16)
    assert layout.byte_size((2, 3, 5), "f16") == 192
    assert layout.offset((2, 3, 5), (1, 2, 4), 2) == (3 + 2) * 16 + 4
    np.testing.assert_array_equal(layout.unpack(layout.pack(array), (2, 3, 5)), array)


def ways() -> list[tuple[Layout, tuple[int, ...], Layout, tuple[int, ...], tuple[int, ...] | None, bool]]:
    five, nz, z = Layout(Format.NC1HWC0, 16), Layout(Format.FRACTAL_NZ, 16), Layout(Format.FRACTAL_Z, 16)
    return [
        (ND, (2, 3, 4), ND, (6, 4), None, True),
        (ND, (2, 3), ND, (3, 2), (1, 0), False),
        (ND, (1, 3), ND, (3, 1), (1, 0), True),
        (five, (1, 40, 4, 8), nz, (32, 40), (0, 2, 3, 1), True),
        (five, (1, 40, 4, 7), nz, (28, 40), (0, 2, 3, 1), False),  # rows of NZ are padded to 16
        (five, (1, 32, 1, 1), ND, (1, 32), None, True),
        (five, (1, 40, 1, 1), ND, (1, 40), None, False),  # padding lanes; a view all the same
        (five, (2, 40, 1, 1), ND, (2, 40), None, False),
        (five, (1, 16, 5, 5), Layout(Format.NHWC), (1, 16, 5, 5), None, True),
        (five, (1, 32, 5, 5), five, (1, 32, 25, 1), None, True),
        (nz, (3, 16, 20), nz, (48, 20), None, False),
        (nz, (48, 16), ND, (48, 16), None, True),
        (z, (40, 32), z, (32, 40, 1, 1), (1, 0), True),
    ]


@pytest.mark.parametrize("case", ways())
def test_same_bytes_cases(
    case: tuple[Layout, tuple[int, ...], Layout, tuple[int, ...], tuple[int, ...] | None, bool],
) -> None:
    a, shape_a, b, shape_b, perm, expected = case
    assert layouts.same_bytes(a, shape_a, b, shape_b, perm=perm) is expected


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Layout, tuple[int, ...], Layout, tuple[int, ...], tuple[int, ...] | None]:
    """Pairs that are often the same bytes: sizes that sit on block borders, shapes that regroup the same
    factors."""
    factors = [draw(st.sampled_from([1, 2, 3, 16, 20, 32])) for _ in range(draw(st.integers(2, 4)))]
    if prod(factors) > 40000:
        factors = factors[:2]

    def regroup() -> tuple[int, ...]:
        out = [1]
        for f in factors:
            if draw(st.booleans()):
                out.append(1)
            out[-1] *= f
        return tuple(out)

    def layout_of(shape: tuple[int, ...]) -> Layout:
        options = [ND]
        if len(shape) >= 2:
            options.append(Layout(Format.FRACTAL_NZ, 16))
        if len(shape) == 4:
            options += [Layout(Format.NC1HWC0, 16), Layout(Format.NHWC), Layout(Format.NC1HWC0, 16)]
        if len(shape) == 2:
            options.append(Layout(Format.FRACTAL_Z, 16))
        return draw(st.sampled_from(options))

    shape_a, shape_b = regroup(), regroup()
    perm = tuple(draw(st.permutations(range(len(shape_a))))) if draw(st.booleans()) else None
    return layout_of(shape_a), shape_a, layout_of(shape_b), shape_b, perm


@given(pairs())
@settings(max_examples=400, deadline=None)
def test_same_bytes_is_exact(
    case: tuple[Layout, tuple[int, ...], Layout, tuple[int, ...], tuple[int, ...] | None],
) -> None:
    a, shape_a, b, shape_b, perm = case
    array = np.arange(1, prod(shape_a) + 1, dtype=np.int32).reshape(shape_a)
    bytes_a = a.pack(array).reshape(-1)
    moved = array if perm is None else array.transpose(perm)
    bytes_b = b.pack(moved.reshape(shape_b)).reshape(-1)
    # The same addresses: the values of b lie in a where b wants them.
    n = min(bytes_a.size, bytes_b.size)
    positions_a = {int(v): i for i, v in enumerate(bytes_a) if v}
    positions_b = {int(v): i for i, v in enumerate(bytes_b) if v}
    order = positions_a == positions_b
    assert layouts.same_order(a, shape_a, b, shape_b, perm=perm) is order
    assert layouts.same_bytes(a, shape_a, b, shape_b, perm=perm) is (order and bytes_a.size == bytes_b.size)
    if layouts.views_as(a, shape_a, b, shape_b, perm=perm):
        np.testing.assert_array_equal(bytes_a[:n], bytes_b)


@given(cases(), st.data())
@settings(max_examples=300, deadline=None)
def test_block_start(case: tuple[Layout, tuple[int, ...]], data: st.DataObject) -> None:
    """Where an offset is promised, the piece is the packed box."""
    layout, shape = case
    if not shape:
        return
    dim = data.draw(st.integers(0, len(shape) - 1))
    if data.draw(st.booleans()):
        shape = tuple(1 if i < dim else s for i, s in enumerate(shape))
    if layout.groups > 1:
        return
    start = data.draw(st.integers(0, shape[dim] - 1))
    size = data.draw(st.integers(1, shape[dim] - start))
    starts = tuple(start if i == dim else 0 for i in range(len(shape)))
    sizes = tuple(size if i == dim else s for i, s in enumerate(shape))
    offset = layouts.block_start(layout, shape, starts, sizes, "i32")
    if offset is None:
        return
    array = np.arange(1, prod(shape) + 1, dtype=np.int32).reshape(shape)
    box = array[tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True))]
    piece = layout.pack(box).reshape(-1)
    whole = layout.pack(array).reshape(-1)
    np.testing.assert_array_equal(whole[offset // 4 : offset // 4 + piece.size], piece)


def test_block_start_cases() -> None:
    five = Layout(Format.NC1HWC0, 16)
    assert layouts.block_start(five, (1, 64, 7, 7), (0, 32, 0, 0), (1, 32, 7, 7), "f16") == 2 * 49 * 32
    assert layouts.block_start(five, (1, 64, 7, 7), (0, 8, 0, 0), (1, 32, 7, 7), "f16") is None
    assert layouts.block_start(five, (2, 64, 7, 7), (0, 32, 0, 0), (2, 32, 7, 7), "f16") is None
    assert layouts.block_start(ND, (6, 16), (2, 0), (3, 16), "f16") == 64
    assert layouts.block_start(ND, (6, 15), (2, 0), (3, 15), "f16") is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((Format.ND, 16), "has no c0"),
        ((Format.NC1HWC0, 0), "c0 of NC1HWC0"),
        ((Format.NC1HWC0, 16, 2), "groups"),
        ((Format.NHWC, 0, 1, 64), "pitch"),
    ],
)
def test_bad_layouts(args: tuple[Format, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(*args)


def test_shape_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="holds one vector"):
        Layout(Format.NC1HWC0, 16).physical_shape((2, 3))
    assert Layout(Format.NC1HWC0, 16).physical_shape((1, 1, 40)) == (1, 1, 3, 16)
