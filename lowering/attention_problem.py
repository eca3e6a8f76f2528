"""What an attention group computes, in fractals: softmax(scale · Q · Kᵀ + mask) · V per item (one head of one image).

All operands and the result lie in FRACTAL_NZ: planes of 16 columns, each a run of rows of 32 bytes.  The mask is stored
keys first, so that its planes are those of the transposed scores, which is how the kernel holds them (decision 0026).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..dialects import ascend, nn
from ..runtime.soc import Soc
from .cube_problem import C0, FRACTAL, UNIT, ceil_div


@dataclass(frozen=True)
class AttentionProblem:
    """Sizes in elements, `*1` in fractals of 16; strides of the mask in bytes per leading dim, 0 where it broadcasts."""

    lead: tuple[int, ...]  # batch and heads of the query
    shared: int  # neighbouring heads of the query that share one head of keys and values
    queries: int
    keys: int
    width: int
    value_width: int
    scale: float
    mask_strides: tuple[int, ...] | None
    zero_empty: bool = False

    @property
    def items(self) -> int:
        return prod(self.lead)

    @property
    def m1(self) -> int:
        return ceil_div(self.queries, C0)

    @property
    def n1(self) -> int:
        return ceil_div(self.keys, C0)

    @property
    def d1(self) -> int:
        return ceil_div(self.width, C0)

    @property
    def e1(self) -> int:
        return ceil_div(self.value_width, C0)

    @property
    def key_tail(self) -> int:
        """Keys in the last fractal, 0 if it is full."""
        return self.keys % C0

    @property
    def padding_rows(self) -> int:
        """Rows of the last fractal of the result that belong to no query: they are stored as zeros (D9)."""
        return self.m1 * C0 - self.queries


def root_of(group: ascend.GroupOp) -> nn.AttentionOp:
    """The group's only op."""
    return ascend.only_op(group, nn.AttentionOp)


def problem_of(op: nn.AttentionOp) -> AttentionProblem:
    """The geometry of an attention op."""
    query, key, value = (nn.shape_of(v) for v in (op.query, op.key, op.value))
    strides = None
    if op.mask is not None:
        own = nn.shape_of(op.mask)
        step = ceil_div(own[-1], C0) * ceil_div(own[-2], C0) * FRACTAL
        found: list[int] = []
        for size in reversed(own[:-2]):
            found.append(step if size > 1 else 0)
            step *= size
        strides = tuple(reversed(found))
    return AttentionProblem(
        query[:-2], query[-3] // key[-3], query[-2], key[-2], query[-1], value[-1], op.scale.value.data, strides, op.zero_empty is not None
    )  # fmt: skip


_NEEDED = {
    "mmad": "f32f16f16", "data_move_l0c2ub": "f32", "data_move_ub2l1": "f16", "data_move_l12l0a": "f16",
    "vmax": "f32", "vsub": "f32", "vmul": "f32", "vmuls": "f32", "vaxpy": "f32f16f16",
    "vconv": "f322f16",
}  # fmt: skip
"""What the kernel is made of beside DMA; the exponential in f32 or f16 and the reciprocal by division or by iteration."""


def refusal(op: nn.AttentionOp, soc: Soc | None) -> str | None:
    """Why an attention is computed as products and a softmax with its scores in GM; None if one kernel does it.

    The one place that decides: `nn-form-attention` asks before it makes the op.
    """
    shapes = [nn.shape_of(v) for v in op.operands]
    if any(-1 in shape for shape in shapes):
        return "sizes are not known before run time"
    if 0 in (size for shape in shapes for size in shape):
        return "an operand has no elements"
    if any(nn.dtype_of(v) not in ("f16", "f32") for v in op.operands):
        return "the cube multiplies f16"
    if op.scale.value.data <= 0:
        return "the scale is not positive"
    if soc is None:
        return None
    missing = [name for name, dtype in _NEEDED.items() if not soc.core.supports(name, dtype)]
    if missing:
        return f"the chip has no {missing[0]} {_NEEDED[missing[0]]}"
    from .attention_schedule import estimate, fitting, parts_estimate

    problem = problem_of(op)
    cycles = [estimate(problem, schedule, soc) for schedule in fitting(problem, soc)]
    if not cycles:
        return "no tiles of it fit the memories of a core"
    if min(cycles) > parts_estimate(problem, soc):
        return "products and a softmax use more cores for it"
    return None


__all__ = ["C0", "FRACTAL", "UNIT", "AttentionProblem", "ceil_div", "problem_of", "refusal", "root_of"]
