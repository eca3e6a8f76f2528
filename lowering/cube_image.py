"""A convolution's input straight from the model's f32 planes: what a separate cast and TransData would do, slab by slab.

A picture has few channels, so NC1HWC0 stores mostly padding: 3 of 16 lanes. Writing it to memory and reading it back
costs more than the convolution. Here each piece of a slab goes

    GM → UB   (MTE2)  the rows of every channel, f32
    f32 → f16 (V)     channel c becomes row c of 16; the rows behind the last channel are zero
    16×16     (V)     vnchwconv: 16 positions of 16 rows become 16 positions of 16 lanes
    UB → L1   (MTE3)  a plane of positions, as img2col reads it
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from .cube_problem import C0, UNIT, ceil_div
from .kernel_builder import Index, KernelBuilder, Linear, Ref
from .move_cast import convert

PIECE = 1024  # positions converted at a time
_F16, _F32 = 2, 4


def image_ub_bytes(channels: int) -> int:
    """UB that the conversion needs: two pieces of f32 rows, the f16 rows, two pieces of positions."""
    return PIECE * (2 * channels * _F32 + C0 * _F16 + 2 * UNIT)


def vector_cycles(channels: int) -> float:
    """Vector cycles per position, about: conversion of 64 lanes and transposition of 16 positions."""
    return channels / 64 + 2 / 16


class CubeImage:
    """Loads slabs of an f32 [N, C, H, W] tensor with at most 16 channels."""

    def __init__(self, kb: KernelBuilder, source: Ref, channels: int, plane: int) -> None:
        """`plane`: positions of one channel."""
        self.kb, self.source, self.channels, self.plane = kb, source, channels, plane
        self.rows = kb.alloc("ub", C0 * PIECE * _F16)
        spare = (C0 - channels) * PIECE * _F16
        if spare:
            zeros = self.rows + channels * PIECE * _F16
            kb.op("vector_dup", "f16", zeros, value=0, repeat=spare // 256)

    @property
    def item_bytes(self) -> int:
        """Bytes between pictures of a batch."""
        return self.channels * self.plane * _F32

    def load(
        self, item: Linear, first: Index, positions: Index, most: int, target: Ref, exists: SSAValue | None
    ) -> None:
        """Positions [first, first + positions) of all channels → L1, if `exists`; `most` positions at most."""
        kb = self.kb
        pieces: Index = ceil_div(most, PIECE) if isinstance(positions, int) else kb.ceil_div(positions, PIECE)
        if exists is not None:
            pieces = kb.select(exists, pieces, 0)
        most = min(most, PIECE)
        with kb.loop(pieces) as piece:
            done = kb.mul(piece, PIECE)
            left = kb.sub(positions, done)
            count = left if isinstance(left, int) and left <= PIECE else kb.min(PIECE, left)
            raw = kb.alloc("ub", self.channels * PIECE * _F32, 2)
            start = self.source + item + kb.linear(0, (first, _F32), (done, _F32))
            with kb.loop(self.channels) as channel:
                own = kb.linear(0, (channel, PIECE * _F32))
                kb.op(
                    "copy_gm_to_ubuf", "", raw + own, start + kb.linear(0, (channel, self.plane * _F32)), bursts=1,
                    length=kb.ceil_div(count, UNIT // _F32), limits={"length": ceil_div(most, UNIT // _F32)},
                )  # fmt: skip
            with kb.loop(self.channels) as channel:
                convert(
                    kb, "f322f16", self.rows + kb.linear(0, (channel, PIECE * _F16)),
                    raw + kb.linear(0, (channel, PIECE * _F32)), count, most, dst_size=_F16, src_size=_F32,
                )  # fmt: skip
            out = kb.alloc("ub", PIECE * UNIT, 2)
            kb.op(
                "vnchwconv", "f16", out, self.rows, repeat=kb.ceil_div(count, 16), limits={"repeat": ceil_div(most, 16)},
                dst_rep=16, src_rep=1, dst_row_stride=1, src_row_stride=PIECE * _F16 // UNIT,
            )  # fmt: skip
            kb.op(
                "copy_ubuf_to_cbuf", "", target + kb.linear(0, (done, UNIT)), out, bursts=1, length=count,
                limits={"length": most},
            )  # fmt: skip
