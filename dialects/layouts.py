"""How a tensor lies in memory: the layout algebra, as plain numpy.

The cube multiplies *fractals*, 512-byte pieces of 16 rows by 32 bytes, and every memory port of the core
moves 32-byte units. So a tensor that the cube touches is not stored row-major: one logical dimension is cut
into blocks of C0 elements (32 bytes), the block index moves outwards and the C0 lanes become the innermost
dimension.

* ``NC1HWC0``   feature maps ``[N, C, H, W]``: the C0 channels of one pixel are one 32-byte unit, a plane of
  such pixels per block.
* ``FRACTAL_NZ`` matrices ``[..., M, N]``: the same idea, with M padded to 16 so that 16 rows are one fractal.
* ``FRACTAL_Z`` weights ``[Cout, Cin/group, Kh, Kw]`` (ONNX order): k order (c1, kh, kw, c0) against 16 output
  channels, which is the order that ``load3d`` makes of a feature map. A matmul weight ``[K, N]`` is the case
  Kh = Kw = 1: ``[K1][N1][16][C0]``.
* ``C1HWNCoC0`` depthwise weights, values on the diagonal of Co x C0.
* ``ND``, ``NCHW``, ``NHWC`` row-major; ND may have a row pitch in bytes.

Index formulas: ``reference/davinci.md`` section 5. Padding is always zero (decision D9). A vector
``[C]`` in NC1HWC0 is read as ``[1, C, 1, 1]``: C1 x C0 values, the padded vector that bias and scale loads
want.

Everything is computed from one description of a layout, its *digits*: ``offset = sum((index[dim] // step %
extent) * stride)``. Only the two weight formats that are not such sums (grouped FRACTAL_Z, the diagonal
C1HWNCoC0) have code of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import lcm, prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = Sequence[int]

BLOCK_BYTES = 32
"""The unit every on-chip path moves; C0 elements fill one."""
FRACTAL_ROWS = 16
"""Rows of a fractal: M and N of one cube step."""

DTYPE_BYTES: dict[str, int] = {
    "f16": 2,
    "bf16": 2,
    "f32": 4,
    "f64": 8,
    "i8": 1,
    "u8": 1,
    "i16": 2,
    "u16": 2,
    "i32": 4,
    "u32": 4,
    "i64": 8,
    "u64": 8,
    "bool": 1,
    "c64": 8,
    "c128": 16,
    "str": 256,
    **dict.fromkeys(
        ("i4", "u4", "i2", "u2", "f4e2m1", "f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "f8e8m0"), 1
    ),
}


class Format(StrEnum):
    """Names as the graph engine prints them."""

    ND = "ND"
    NCHW = "NCHW"
    NHWC = "NHWC"
    NC1HWC0 = "NC1HWC0"
    FRACTAL_Z = "FRACTAL_Z"
    FRACTAL_NZ = "FRACTAL_NZ"
    C1HWNCOC0 = "C1HWNCoC0"


ROW_MAJOR = frozenset({Format.ND, Format.NCHW, Format.NHWC})
_CUBE_WEIGHTS = frozenset({Format.FRACTAL_Z, Format.C1HWNCOC0})


@dataclass(frozen=True)
class Digit:
    """One physical dimension: ``(index[dim] // step % extent) * stride``; stride in elements."""

    dim: int
    step: int
    extent: int
    stride: int


@dataclass(frozen=True)
class GroupBlocks:
    """Grouped FRACTAL_Z: ``packed`` groups share one block-diagonal matrix of cin x cout; there are
    ``blocks`` of them."""

    packed: int
    cin: int
    cout: int
    blocks: int


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def default_c0(dtype: str) -> int:
    """C0 by the definition of the formats: 32 bytes (decision D12)."""
    return BLOCK_BYTES // DTYPE_BYTES[dtype]


def group_blocks(cin: int, cout: int, groups: int, c0: int) -> GroupBlocks:
    """Enlarge factor of grouped weights: as many groups side by side as fill whole C0 x 16 blocks (cin, cout
    per group)."""
    packed = min(lcm(lcm(cin, c0) // cin, lcm(cout, FRACTAL_ROWS) // cout), groups)
    return GroupBlocks(
        packed,
        ceil_div(packed * cin, c0) * c0,
        ceil_div(packed * cout, FRACTAL_ROWS) * FRACTAL_ROWS,
        ceil_div(groups, packed),
    )


@dataclass(frozen=True)
class Layout:
    """A physical format. ``c0`` elements per block, ``groups`` of a weight, ``pitch`` bytes from row to row
    of an ND tensor."""

    format: Format
    c0: int = 0
    groups: int = 1
    pitch: int = 0

    def __post_init__(self) -> None:
        if self.format in ROW_MAJOR and self.c0:
            raise ValueError(f"{self.format} has no c0, got {self.c0}")
        if self.format not in ROW_MAJOR and self.c0 not in (4, 8, 16, 32, 64):
            raise ValueError(f"c0 of {self.format} must be 4, 8, 16, 32 or 64, got {self.c0}")
        if self.groups < 1 or (self.groups > 1 and self.format not in _CUBE_WEIGHTS):
            raise ValueError(f"groups of {self.format} must be 1, got {self.groups}")
        if self.pitch < 0 or (self.pitch and self.format is not Format.ND):
            raise ValueError(f"only ND has a pitch, got {self.format} with {self.pitch}")

    @property
    def is_dense(self) -> bool:
        """Row-major in the logical order, without gaps: what users see."""
        return self.format in (Format.ND, Format.NCHW) and not self.pitch

    def check(self, shape: Shape) -> None:
        """Raise ValueError where this layout cannot hold the shape."""
        rank = len(shape)
        wanted = {
            Format.NC1HWC0: (1, 2, 3, 4),
            Format.NCHW: (4,),
            Format.NHWC: (4,),
            Format.FRACTAL_Z: (2, 4),
            Format.C1HWNCOC0: (4,),
        }.get(self.format)
        if wanted is not None and rank not in wanted:
            raise ValueError(f"{self.format} expects rank {' or '.join(map(str, wanted))}, got {rank}")
        if self.format is Format.NC1HWC0 and rank < 4 and any(s != 1 for s in shape[:-1]):
            raise ValueError(f"NC1HWC0 below rank 4 holds one vector, got {list(shape)}")
        if self.format is Format.FRACTAL_NZ and rank < 1:
            raise ValueError("FRACTAL_NZ expects rank 1 or more, got 0")
        if self.format in _CUBE_WEIGHTS and shape[0] % self.groups and rank == 4:
            raise ValueError(f"output channels {shape[0]} do not divide into {self.groups} groups")
        if self.format is Format.C1HWNCOC0 and shape[1] != 1:
            raise ValueError(f"C1HWNCoC0 expects one input channel per group, got {shape[1]}")

    def digits(self, shape: Shape, itemsize: int = 0) -> tuple[Digit, ...]:
        """The physical dimensions, outermost first. Not defined for grouped FRACTAL_Z and C1HWNCoC0."""
        self.check(shape)
        axes = _axes(self, shape)
        extents = [e for _, _, e in axes]
        strides = [prod(extents[i + 1 :]) for i in range(len(extents))]
        if self.pitch and len(shape) > 1:
            row = self._pitch_elements(shape, itemsize)
            strides = [row * s // extents[-1] for s in strides[:-1]] + [1]
        return tuple(Digit(d, step, e, s) for (d, step, e), s in zip(axes, strides, strict=True))

    def physical_shape(self, shape: Shape, itemsize: int = 0) -> tuple[int, ...]:
        """Extents of the padded array, outermost first. A pitch needs the item size."""
        self.check(shape)
        if self.format is Format.FRACTAL_Z and self.groups > 1:
            g = self.blocks_of(shape)
            return (
                g.blocks * (g.cin // self.c0) * shape[2] * shape[3],
                g.cout // FRACTAL_ROWS,
                FRACTAL_ROWS,
                self.c0,
            )
        if self.format is Format.C1HWNCOC0:
            channels = ceil_div(self.groups, self.c0)
            return (channels, shape[2], shape[3], shape[0] // self.groups, self.c0, self.c0)
        if self.pitch and len(shape) > 1:
            return (*shape[:-1], self._pitch_elements(shape, itemsize))
        extents = tuple(e for _, _, e in _axes(self, shape))
        if self.format is Format.FRACTAL_Z:  # the engine writes the (c1, h, w) axes as one
            return (prod(extents[:-3]), *extents[-3:])
        return extents

    def blocks_of(self, shape: Shape) -> GroupBlocks:
        """Group blocking of a weight [Cout, Cin/group, Kh, Kw] in FRACTAL_Z."""
        return group_blocks(shape[1], shape[0] // self.groups, self.groups, self.c0)

    def elements(self, shape: Shape, itemsize: int = 0) -> int:
        """Elements with padding."""
        return prod(self.physical_shape(shape, itemsize))

    def byte_size(self, shape: Shape, dtype: str) -> int:
        """Bytes with padding."""
        return self.elements(shape, DTYPE_BYTES[dtype]) * DTYPE_BYTES[dtype]

    def granules(self, shape: Shape, dtype: str) -> int:
        """Units that cores may share out (decision D6): a position of a C1 plane, a row of a fractal column, 32 bytes
        row-major. Padding rows of a matrix are nobody's work."""
        if self.format in ROW_MAJOR:
            return ceil_div(self.byte_size(shape, dtype), BLOCK_BYTES)
        units = self.elements(shape) // self.c0
        if self.format is not Format.FRACTAL_NZ or len(shape) < 2:
            return units
        return units // (ceil_div(shape[-2], FRACTAL_ROWS) * FRACTAL_ROWS or 1) * shape[-2]

    def offset(self, shape: Shape, index: Shape, itemsize: int = 0) -> int:
        """Element offset of a logical index."""
        if self.format is Format.FRACTAL_Z and self.groups > 1:
            return _grouped_offset(self, shape, index)
        if self.format is Format.C1HWNCOC0:
            return _diagonal_offset(self, shape, index)
        return sum(
            index[d.dim] // d.step % d.extent * d.stride for d in self.digits(shape, itemsize) if d.dim >= 0
        )

    def pack(self, array: Array) -> Array:
        """The array in this layout: physical shape, padding zero."""
        shape = array.shape
        physical = self.physical_shape(shape, array.itemsize)
        if self.is_dense:
            return np.asarray(array, order="C")
        if self.format is Format.FRACTAL_NZ and len(shape) == 1:
            return self.pack(array[None])
        if self.format is Format.C1HWNCOC0 or self.groups > 1:
            out = np.zeros(prod(physical), array.dtype)
            out[_offsets(self, shape)] = array.reshape(-1)
            return out.reshape(physical)
        if self.pitch:
            out = np.zeros(physical, array.dtype)
            out[..., : shape[-1] if shape else 1] = array
            return out
        split, order = _split(self, shape)
        padded = np.zeros(_padded(self, shape), array.dtype)
        padded[tuple(slice(0, s) for s in shape)] = array
        return np.ascontiguousarray(padded.reshape(split).transpose(order)).reshape(physical)

    def unpack(self, packed: Array, shape: Shape) -> Array:
        """The logical array of packed data (any shape with the right number of elements)."""
        shape = tuple(shape)
        if self.is_dense:
            return packed.reshape(shape)
        if self.format is Format.FRACTAL_NZ and len(shape) == 1:
            return self.unpack(packed, (1, *shape))[0]
        if self.format is Format.C1HWNCOC0 or self.groups > 1:
            return packed.reshape(-1)[_offsets(self, shape)].reshape(shape)
        if self.pitch:
            physical = self.physical_shape(shape, packed.itemsize)
            return np.ascontiguousarray(packed.reshape(physical)[..., : shape[-1]]).reshape(shape)
        split, order = _split(self, shape)
        blocks = packed.reshape([split[i] for i in order])
        back = blocks.transpose(np.argsort(order)).reshape(_padded(self, shape))
        return np.ascontiguousarray(back[tuple(slice(0, s) for s in shape)])

    def _pitch_elements(self, shape: Shape, itemsize: int) -> int:
        if itemsize <= 0 or self.pitch % itemsize:
            raise ValueError(
                f"a pitch of {self.pitch} bytes needs an item size that divides it, got {itemsize}"
            )
        if self.pitch < shape[-1] * itemsize:
            raise ValueError(f"a pitch of {self.pitch} bytes is shorter than a row of {shape[-1] * itemsize}")
        return self.pitch // itemsize

    def __str__(self) -> str:
        parts: list[str] = [self.format.value]
        if self.c0:
            parts.append(f"c0 = {self.c0}")
        if self.groups > 1:
            parts.append(f"groups = {self.groups}")
        if self.pitch:
            parts.append(f"pitch = {self.pitch}")
        return ", ".join(parts)


ND = Layout(Format.ND)


def nc1hwc0(dtype: str) -> Layout:
    return Layout(Format.NC1HWC0, default_c0(dtype))


def fractal_nz(dtype: str) -> Layout:
    return Layout(Format.FRACTAL_NZ, default_c0(dtype))


def fractal_z(dtype: str, groups: int = 1) -> Layout:
    return Layout(Format.FRACTAL_Z, default_c0(dtype), groups)


def _axes(layout: Layout, shape: Shape) -> list[tuple[int, int, int]]:
    """(logical dim, step, extent), outermost first; dim -1 is an axis of padding only."""
    c0, rank = layout.c0, len(shape)
    match layout.format:
        case Format.ND | Format.NCHW:
            return [(i, 1, s) for i, s in enumerate(shape)]
        case Format.NHWC:
            return [(i, 1, shape[i]) for i in (0, 2, 3, 1)]
        case Format.NC1HWC0:
            if rank < 4:
                return [
                    *((i, 1, 1) for i in range(rank - 1)),
                    (rank - 1, c0, ceil_div(shape[-1], c0)),
                    (rank - 1, 1, c0),
                ]
            n, c, h, w = shape
            return [(0, 1, n), (1, c0, ceil_div(c, c0)), (2, 1, h), (3, 1, w), (1, 1, c0)]
        case Format.FRACTAL_NZ:
            n1 = ceil_div(shape[-1], c0)
            if rank == 1:
                return [(0, c0, n1), (-1, 1, 1), (-1, 1, FRACTAL_ROWS), (0, 1, c0)]
            m1 = ceil_div(shape[-2], FRACTAL_ROWS)
            batch = [(i, 1, s) for i, s in enumerate(shape[:-2])]
            m, n = rank - 2, rank - 1
            return [*batch, (n, c0, n1), (m, FRACTAL_ROWS, m1), (m, 1, FRACTAL_ROWS), (n, 1, c0)]
        case Format.FRACTAL_Z if layout.groups == 1:
            cin, cout = (0, 1) if rank == 2 else (1, 0)
            kernel = [] if rank == 2 else [(2, 1, shape[2]), (3, 1, shape[3])]
            n1 = ceil_div(shape[cout], FRACTAL_ROWS)
            return [
                (cin, c0, ceil_div(shape[cin], c0)),
                *kernel,
                (cout, FRACTAL_ROWS, n1),
                (cout, 1, FRACTAL_ROWS),
                (cin, 1, c0),
            ]
        case _:
            raise ValueError(f"{layout} is not a sum of digits")


def _padded(layout: Layout, shape: Shape) -> tuple[int, ...]:
    """The logical shape rounded up to whole blocks."""
    sizes = list(shape)
    axes = _axes(layout, shape)
    for dim in range(len(shape)):
        sizes[dim] = prod(e for d, _, e in axes if d == dim)
    return tuple(sizes)


def _split(layout: Layout, shape: Shape) -> tuple[list[int], list[int]]:
    """Shape of the padded array with each dimension cut into its digits, and the transposition into physical
    order."""
    axes = _axes(layout, shape)
    logical = sorted(range(len(axes)), key=lambda i: (axes[i][0], -axes[i][1]))
    split = [axes[i][2] for i in logical]
    return split, [logical.index(i) for i in range(len(axes))]


def _grouped_offset(layout: Layout, shape: Shape, index: Shape) -> int:
    cout_all, cin, kh, kw = shape
    cout, c0, blocks = cout_all // layout.groups, layout.c0, layout.blocks_of(shape)
    n, c, h, w = index
    group, n = divmod(n, cout)
    ci = group % blocks.packed * cin + c
    co = group % blocks.packed * cout + n
    row = ((group // blocks.packed * (blocks.cin // c0) + ci // c0) * kh + h) * kw + w
    return row * blocks.cout * c0 + co * c0 + ci % c0


def _diagonal_offset(layout: Layout, shape: Shape, index: Shape) -> int:
    multiplier, c0 = shape[0] // layout.groups, layout.c0
    c, n = divmod(index[0], multiplier)
    row = (c // c0 * shape[2] + index[2]) * shape[3] + index[3]
    return (row * multiplier + n) * c0 * c0 + c % c0 * c0 + c % c0


def _offsets(layout: Layout, shape: Shape) -> Array:
    """Offsets of all elements in row-major order, for the formats without digits: the same formulas on index
    arrays."""
    index: Any = [i.reshape(-1) for i in np.indices(tuple(shape))]
    formula = _diagonal_offset if layout.format is Format.C1HWNCOC0 else _grouped_offset
    offsets: Any = formula(layout, shape, index)
    return offsets


@dataclass(frozen=True)
class _Run:
    """``extent`` elements ``stride`` apart; a dimension that ends inside a block carries early, so it is a
    run of its own
    with its block size and block stride."""

    extent: int
    stride: int
    block: int = 0
    block_stride: int = 0


def _dim_runs(digits: list[Digit], size: int) -> list[_Run]:
    """Runs of one logical dimension, innermost first. No format cuts a dimension more than once."""
    inner, *rest = sorted(digits, key=lambda d: d.step)
    if not rest or size <= rest[0].step:
        return [_Run(size, inner.stride)]
    outer = rest[0]
    if outer.stride == outer.step * inner.stride:  # rows of FRACTAL_NZ: blocks follow one another
        return [_Run(size, inner.stride)]
    if size % outer.step == 0:
        return [_Run(outer.step, inner.stride), _Run(size // outer.step, outer.stride)]
    return [_Run(size, inner.stride, outer.step, outer.stride)]


def _address_map(layout: Layout, shape: Shape, perm: Sequence[int], itemsize: int) -> list[_Run]:
    """The address as a function of the row-major position in the permuted shape, as maximal runs, innermost
    first."""
    digits = layout.digits(shape, itemsize)
    runs: list[_Run] = []
    for dim in reversed(perm):
        for run in _dim_runs([d for d in digits if d.dim == dim], shape[dim]):
            last = runs[-1] if runs else None
            if run.extent == 1:
                continue
            joins = last is not None and not run.block and not last.block
            if joins and last is not None and run.stride == last.extent * last.stride:
                runs[-1] = _Run(last.extent * run.extent, last.stride)
            else:
                runs.append(run)
    return runs


def same_order(
    a: Layout,
    shape_a: Shape,
    b: Layout,
    shape_b: Shape,
    *,
    perm: Sequence[int] | None = None,
    itemsize: int = 0,
) -> bool:
    """Every element of ``reshape(transpose(a, perm), shape_b)`` has the same address in both; padding sizes
    may differ."""
    order = tuple(range(len(shape_a))) if perm is None else tuple(perm)
    if prod(shape_a) != prod(shape_b):
        return False
    plain = perm is None or list(perm) == sorted(perm)
    if a == b and tuple(shape_a) == tuple(shape_b) and plain:
        return True
    for layout in (a, b):
        if layout.groups > 1 or layout.format is Format.C1HWNCOC0:
            return False
    return _address_map(a, shape_a, order, itemsize) == _address_map(
        b, shape_b, tuple(range(len(shape_b))), itemsize
    )


def same_bytes(
    a: Layout,
    shape_a: Shape,
    b: Layout,
    shape_b: Shape,
    *,
    perm: Sequence[int] | None = None,
    itemsize: int = 0,
) -> bool:
    """Two typed tensors are the same bytes, padding included (decision D11): b is a reshape of a, transposed
    by ``perm`` first."""
    if not same_order(a, shape_a, b, shape_b, perm=perm, itemsize=itemsize):
        return False
    return a.elements(shape_a, itemsize) == b.elements(shape_b, itemsize)


def views_as(
    a: Layout,
    shape_a: Shape,
    b: Layout,
    shape_b: Shape,
    *,
    perm: Sequence[int] | None = None,
    itemsize: int = 0,
) -> bool:
    """b can alias a: the same addresses, and b ends where a does or earlier (a's padding at the end is left
    out)."""
    if not same_order(a, shape_a, b, shape_b, perm=perm, itemsize=itemsize):
        return False
    return b.elements(shape_b, itemsize) <= a.elements(shape_a, itemsize)


def block_start(layout: Layout, shape: Shape, starts: Shape, sizes: Shape, dtype: str) -> int | None:
    """Byte offset of the box ``starts .. starts + sizes`` when it is one contiguous piece that alone is a
    tensor of this layout.

    That needs every physical dimension outside the cut one to have extent 1, the cut to fall on block
    borders, and offset and length to be whole 32-byte units. None where the box is no such piece: then a
    kernel has to move it.
    """
    itemsize = DTYPE_BYTES[dtype]
    if layout.groups > 1 or layout.format is Format.C1HWNCOC0:
        return None
    cut = [i for i in range(len(shape)) if sizes[i] != shape[i]]
    if not cut:
        return 0
    if len(cut) > 1:
        return None
    dim = cut[0]
    digits = layout.digits(shape, itemsize)
    # The outermost digit of the cut dimension; all steps below it must be whole.
    outer = next((d for d in digits if d.dim == dim), None)
    if outer is None or starts[dim] % outer.step:
        return None
    whole_tail = starts[dim] + sizes[dim] == shape[dim]
    if sizes[dim] % outer.step and not whole_tail:
        return None
    before = digits[: digits.index(outer)]
    if any(d.extent > 1 for d in before):
        return None
    start = starts[dim] // outer.step * outer.stride * itemsize
    length = ceil_div(sizes[dim], outer.step) * outer.stride * itemsize
    if start % BLOCK_BYTES or length % BLOCK_BYTES:
        return None
    if layout.pitch or layout.byte_size(sizes, dtype) != length:
        return None
    return start
