"""What a cube group computes, as one implicit GEMM: C[M, N] += A[M, K] · B[K, N].

Both kinds of root meet here.  A convolution reads planes of positions in NC1HWC0; `load3d` turns a piece of them into
rows of A with k order (c1, kh, kw, c0), which is FRACTAL_Z's first axis.  A matmul's FRACTAL_NZ operand is also a set
of planes: K1 planes of M16 rows of 32 bytes, so it is a 1×1 convolution whose image is one row of M16 positions.  A
1×1 convolution with stride 1 and no padding is flattened the same way.

Sizes are counted in fractals (16 rows or columns, 32 bytes of k) unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.ir import Operation, SSAValue

from ..dialects import ascend, nn
from ..dialects.layouts import Format, group_blocks
from ..dialects.nn_attrs import ints

C0 = 16  # f16 elements in 32 bytes
UNIT = 32  # bytes of one position of a plane
FRACTAL = 512


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class Window:
    """Filter geometry; sizes in elements."""

    kh: int = 1
    kw: int = 1
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    @property
    def taps(self) -> int:
        return self.kh * self.kw

    @property
    def is_point(self) -> bool:
        """1×1, stride 1, no padding: positions map one to one."""
        return (
            self.taps == 1
            and self.stride_h == self.stride_w == 1
            and not (self.top or self.left or self.bottom or self.right)
        )

    @property
    def reach_h(self) -> int:
        """Input rows under one output row."""
        return (self.kh - 1) * self.dilation_h + 1

    @property
    def reach_w(self) -> int:
        """Input columns under one output column."""
        return (self.kw - 1) * self.dilation_w + 1


@dataclass(frozen=True)
class CubeProblem:
    """Geometry of one cube group.

    `batch` items times `groups` blocks are independent products.  Strides are in bytes; a stride of 0 reads one
    operand for every item.
    """

    batch: tuple[int, ...]
    groups: int
    height: int
    width: int
    out_height: int
    out_width: int
    window: Window
    k1: int  # planes of A per group = ceil(channels / 16)
    n1: int  # planes of C per group
    a_plane: int  # positions between planes of A
    c_plane: int  # positions between planes of C
    a_planes: int  # planes of A in the tensor, per batch item
    c_planes: int
    a_batch: tuple[int, ...]  # byte stride per batch dim
    b_batch: tuple[int, ...]
    c_batch: tuple[int, ...]
    channels_out: int  # logical N, all groups
    rows: int  # logical M: rows of C that are real (≤ c_plane)
    a_transposed: bool = False  # A stored [K, M]
    b_transposed: bool = True  # B in L0B order already (FRACTAL_Z, or NZ of [N, K])
    b_constant: bool = True
    image_channels: int = 0  # A is an f32 picture of so many channels (0: planes of f16)
    b_rows: int = 0  # dynamic B: planes geometry, K1 fractal rows of NZ [K, N]

    @property
    def items(self) -> int:
        return prod(self.batch)

    @property
    def k_steps(self) -> int:
        """k in fractals, taps included."""
        return self.k1 * self.window.taps

    @property
    def is_line(self) -> bool:
        """A filter along one row of positions, no 16 of whose windows lie in the padding."""
        window = self.window
        alone = self.height == self.out_height == window.kh == 1 and not (window.top or window.bottom)
        inside = max(window.left, window.right) < window.reach_w
        return alone and inside and not (window.is_point or self.image_channels)

    @property
    def by_positions(self) -> bool:
        """Whether any 16 positions of the output are work of their own: fractals are shared, not output rows."""
        return self.window.is_point or self.is_line

    def columns_under(self, positions: int) -> int:
        """Positions of A under so many of the output, of a problem by positions."""
        positions = min(positions, ceil_div(self.out_width, 16) * 16)
        if self.window.is_point:
            return min(positions, ceil_div(self.width, 16) * 16)
        return min((positions - 1) * self.window.stride_w + self.window.reach_w, self.width)

    @property
    def positions(self) -> int:
        return self.out_height * self.out_width


@dataclass(frozen=True)
class CubeGroup:
    """The ops of a cube group: root, optional bias and the elementwise ops behind it."""

    root: nn.ConvOp | nn.MatMulOp
    problem: CubeProblem
    bias: SSAValue | None
    epilogue: tuple[Operation, ...]
    has_residual: bool
    bias_in_terms: bool = False  # the bias is stored as two f16 numbers for one
    image: SSAValue | None = None  # A as f32 [N, C, H, W]: the group begins with its cast


def analyse(group: ascend.GroupOp) -> CubeGroup:
    """Root, geometry and epilogue of a cube group; a body of another form is our own bug."""
    ops = list(group.body.block.ops)
    roots = [op for op in ops if isinstance(op, nn.ConvOp | nn.MatMulOp)]
    if len(roots) != 1:
        raise ValueError(f"cube group: expected one conv or matmul, got {len(roots)}")
    root = roots[0]
    at = ops.index(root)
    cast = root.operands[0].owner
    image = cast.input if isinstance(cast, nn.CastOp) else None
    problem = _conv(group, root) if isinstance(root, nn.ConvOp) else _matmul(group, root)
    epilogue = tuple(op for op in ops[at + 1 : -1])
    shape = ascend.shape_of(root.output)
    residual = any(
        isinstance(op, nn.AddTermsOp) or (ascend.shape_of(value) == shape and value in group.body.block.args)
        for op in epilogue
        for value in op.operands
    )
    bias, in_terms = root.bias, False
    if bias is not None and isinstance(bias.owner, nn.SumTermsOp):
        bias, in_terms = bias.owner.input, True
    return CubeGroup(root, problem, bias, epilogue, residual, in_terms, image)


def _outer(group: ascend.GroupOp, argument: SSAValue) -> SSAValue:
    return next(v for v, a in zip(group.inputs, group.body.block.args, strict=True) if a is argument)


def _conv(group: ascend.GroupOp, root: nn.ConvOp) -> CubeProblem:
    n, c, h, w = ascend.shape_of(root.input)
    cout, cin, kh, kw = ascend.shape_of(root.weight)
    _, _, ho, wo = ascend.shape_of(root.output)
    sh, sw = ints(root.strides)
    dh, dw = ints(root.dilations)
    top, left, bottom, right = ints(root.pads)
    window = Window(kh, kw, sh, sw, dh if kh > 1 else 1, dw if kw > 1 else 1, top, left, bottom, right)
    g = root.group.value.data
    blocks, k1, n1 = 1, ceil_div(c, C0), ceil_div(cout, C0)
    a_planes, c_planes = k1, n1
    stored = ceil_div(
        ascend.shape_of(group.outputs[0])[1], C0
    )  # more than the result has when it is in terms
    if g > 1:
        packed = group_blocks(cin, cout // g, g, C0)
        blocks, k1, n1 = packed.blocks, packed.cin // C0, packed.cout // C0
    height, width, out_height, out_width = h, w, ho, wo
    image = c if isinstance(root.input.owner, nn.CastOp) else 0
    a_bytes = c * h * w * 4 if image else a_planes * h * w * UNIT
    if window.is_point:
        height, width, out_height, out_width = 1, h * w, 1, ho * wo
    return CubeProblem(
        batch=(n,), groups=blocks, height=height, width=width, out_height=out_height, out_width=out_width, window=window,
        k1=k1, n1=n1, a_plane=h * w, c_plane=ho * wo, a_planes=a_planes, c_planes=c_planes,
        a_batch=(a_bytes,), b_batch=(0,), c_batch=(stored * ho * wo * UNIT,),
        channels_out=cout, rows=ho * wo, image_channels=image,
    )  # fmt: skip


def _matmul(group: ascend.GroupOp, root: nn.MatMulOp) -> CubeProblem:
    a, b, c = (ascend.shape_of(v) for v in (root.lhs, root.rhs, root.output))
    m, n = c[-2], c[-1]
    k = a[-2] if root.trans_a else a[-1]
    m16, k1, n1 = ceil_div(m, 16) * 16, ceil_div(k, C0), ceil_div(n, C0)
    constant = ascend.layout_of(_outer(group, root.rhs)).format is Format.FRACTAL_Z
    batch = c[:-2]
    matrix = k1 * m16 * UNIT
    return CubeProblem(
        batch=batch or (1,), groups=1, height=1, width=m16, out_height=1, out_width=m16, window=Window(),
        k1=k1, n1=n1, a_plane=m16, c_plane=m16, a_planes=k1, c_planes=n1,
        a_batch=_batch_strides(a[:-2], batch, matrix), b_batch=_batch_strides(b[:-2], batch, n1 * k1 * FRACTAL),
        c_batch=_batch_strides(batch, batch, n1 * m16 * UNIT), channels_out=n, rows=m,
        a_transposed=root.trans_a is not None, b_transposed=constant or root.trans_b is not None, b_constant=constant,
        b_rows=n1 if root.trans_b is not None else k1,
    )  # fmt: skip


def _batch_strides(own: tuple[int, ...], full: tuple[int, ...], matrix: int) -> tuple[int, ...]:
    """Byte strides of an operand over the batch dims of the result; broadcast dims have stride 0."""
    if not full:
        return (0,)
    padded = (1,) * (len(full) - len(own)) + own
    strides: list[int] = []
    step = matrix
    for size in reversed(padded):
        strides.append(step if size > 1 else 0)
        step *= size
    return tuple(reversed(strides))
