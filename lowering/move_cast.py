"""Casts on the way: f32 at the model's borders, f16 inside (decision D13)."""

from __future__ import annotations

from .kernel_builder import Index, KernelBuilder, Ref
from .tails import BLOCK, MAX_REPEAT

_LANES = 64


def convert(
    kb: KernelBuilder,
    dtype: str,
    dst: Ref,
    src: Ref,
    count: Index,
    most: int,
    *,
    dst_size: int,
    src_size: int,
) -> None:
    """`count` elements, 64 per repeat, the rest under a mask."""
    _elements(kb, "vconv", dtype, {"dst": (dst, dst_size), "src": (src, src_size)}, count, most)


def subtract(kb: KernelBuilder, row: Ref, other: Ref, count: Index, most: int) -> None:
    """row -= other, `count` elements of f32."""
    operands = {"dst": (row, 4), "src0": (row, 4), "src1": (other, 4)}
    _elements(kb, "vsub", "f32", operands, count, most)


def _elements(
    kb: KernelBuilder, op: str, dtype: str, operands: dict[str, tuple[Ref, int]], count: Index, most: int
) -> None:
    """An instruction on a run of elements; operands are addresses and element sizes."""
    steps: dict[str, Index] = {f"{n}_rep": _LANES * size // BLOCK for n, (_, size) in operands.items()}
    whole, rest = kb.div(count, _LANES), kb.rem(count, _LANES)

    def emit(refs: list[Ref], limits: dict[str, int], **values: Index) -> None:
        kb.op(op, dtype, *refs, limits=limits, extents=None, **steps, **values)

    if most >= _LANES:
        for start in range(0, most // _LANES, MAX_REPEAT):
            part = whole
            if most // _LANES > MAX_REPEAT:
                part = kb.max(0, kb.min(MAX_REPEAT, kb.sub(whole, start)))
            refs = [ref + start * _LANES * size for ref, size in operands.values()]
            emit(refs, {"repeat": min(MAX_REPEAT, most // _LANES)}, repeat=part)
    if isinstance(rest, int) and rest == 0:
        return
    refs = [ref + kb.linear(0, (whole, _LANES * size)) for ref, size in operands.values()]
    repeat = 1 if isinstance(rest, int) else kb.min(1, rest)
    emit(refs, {"repeat": 1, "mask_lo": -1}, repeat=repeat, mask_hi=0, mask_lo=kb.low_ones(rest))
