"""Casts on the way: f32 at the model's borders, f16 inside (decision D13)."""

from __future__ import annotations

from .kernel_builder import Index, KernelBuilder, Ref
from .tails import BLOCK, MAX_REPEAT


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
    lanes = 64
    steps = {"dst_rep": lanes * dst_size // BLOCK, "src_rep": lanes * src_size // BLOCK}
    whole, rest = kb.div(count, lanes), kb.rem(count, lanes)
    if most >= lanes:
        for start in range(0, most // lanes, MAX_REPEAT):
            part = whole
            if most // lanes > MAX_REPEAT:
                part = kb.max(0, kb.min(MAX_REPEAT, kb.sub(whole, start)))
            kb.op(
                "vconv", dtype, dst + start * lanes * dst_size, src + start * lanes * src_size,
                limits={"repeat": min(MAX_REPEAT, most // lanes)}, repeat=part,
                dst_rep=steps["dst_rep"], src_rep=steps["src_rep"],
            )  # fmt: skip
    if isinstance(rest, int) and rest == 0:
        return
    repeat = 1 if isinstance(rest, int) else kb.min(1, rest)
    kb.op(
        "vconv",
        dtype,
        dst + kb.linear(0, (whole, lanes * dst_size)),
        src + kb.linear(0, (whole, lanes * src_size)),
        limits={"repeat": 1, "mask_lo": -1},
        repeat=repeat,
        mask_hi=0,
        mask_lo=kb.low_ones(rest),
        dst_rep=steps["dst_rep"],
        src_rep=steps["src_rep"],
    )
