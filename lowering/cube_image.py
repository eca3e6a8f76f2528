"""A convolution's input straight from the model's f32 planes: what a separate cast and TransData would do, slab by slab.

A picture has few channels, so NC1HWC0 stores mostly padding: 3 of 16 lanes. Writing it to memory and reading it back
costs more than the convolution. Here each piece of a slab goes

    GM → UB   (MTE2)  the rows of every channel, f32
    f32 → f16 (V)     channel c becomes row c of 16; the rows behind the last channel are zero
    16×16     (V)     vnchwconv: 16 positions of 16 rows become 16 positions of 16 lanes
    UB → L1   (MTE3)  a plane of positions, as img2col reads it
"""

from __future__ import annotations

from .cube_problem import C0, UNIT, ceil_div
from .kernel_builder import Index, KernelBuilder, Linear, Ref
from .move_cast import convert
from .tails import MAX_REPEAT

PIECE = 960  # positions converted at a time: of 16 channels one instruction converts them all
_LANES = 64  # f32 lanes of a repeat
_F16, _F32 = 2, 4


def image_ub_bytes(channels: int) -> int:
    """UB that the conversion needs: two pieces of f32 rows, the f16 rows, two pieces of positions."""
    return PIECE * (2 * channels * _F32 + C0 * _F16 + 2 * UNIT)


def vector_cycles(channels: int) -> float:
    """Vector cycles per position, about: conversion of 64 lanes and transposition of 16 positions."""
    return channels / 64 + 2 / 16


class CubeImage:
    """Loads slabs of an f32 [N, C, H, W] tensor with at most 16 channels."""

    def __init__(self, kb: KernelBuilder, source: Ref, channels: int, plane: int, width: int) -> None:
        """`plane`: positions of one channel, `width` of one row."""
        self.kb, self.source, self.channels, self.plane = kb, source, channels, plane
        self.whole_blocks = width * _F32 % UNIT == 0  # what is fetched ends with the rows
        self.rows = kb.alloc("ub", C0 * PIECE * _F16)
        self.clock = kb.clock(2, ahead=False)
        self.raw = kb.ring(self.clock, "ub", channels * PIECE * _F32)
        for buffer, size in ((self.rows, C0 * PIECE * _F16), (self.raw.first, 2 * channels * PIECE * _F32)):
            for start in range(0, size, MAX_REPEAT * 256):  # defined numbers everywhere, once
                repeat = min(MAX_REPEAT, (size - start) // 256)
                kb.op("vector_dup", "f16", buffer + start, value=0, repeat=repeat)

    def load(self, item: Linear, first: Index, positions: Index, most: int, target: Ref) -> None:
        """Positions [first, first + positions) of all channels → L1; `most` positions at most."""
        kb = self.kb
        pieces: Index = ceil_div(most, PIECE) if isinstance(positions, int) else kb.ceil_div(positions, PIECE)
        most = min(most, PIECE)
        with kb.loop(pieces) as piece:
            done = kb.mul(piece, PIECE)
            left = kb.sub(positions, done)
            count = left if isinstance(left, int) and left <= PIECE else kb.min(PIECE, left)
            self._fetch(self.source + item + kb.linear(0, (first, _F32), (done, _F32)), count, most)
            self._convert(count, most)
            out = kb.alloc("ub", PIECE * UNIT, 2)
            kb.op(
                "vnchwconv", "f16", out, self.rows, repeat=PIECE // C0, dst_rep=16, src_rep=1, dst_row_stride=1,
                src_row_stride=PIECE * _F16 // UNIT,
            )  # fmt: skip
            kb.op(
                "copy_ubuf_to_cbuf", "", target + kb.linear(0, (done, UNIT)), out, bursts=1, length=count,
                limits={"length": most},
            )  # fmt: skip
            kb.tick(self.clock)

    def _convert(self, count: Index, most: int) -> None:
        """f32 → f16.  All lanes at once, whatever they held before, unless the last block reaches behind the tensor."""
        kb = self.kb
        if self.whole_blocks:
            kb.op(
                "vconv", "f322f16", self.rows, self.raw.now, repeat=self.channels * PIECE // _LANES, dst_rep=4, src_rep=8
            )  # fmt: skip
            return
        for channel in kb.few(self.channels):
            convert(
                kb, "f322f16", self.rows + kb.linear(0, (channel, PIECE * _F16)),
                self.raw.now + kb.linear(0, (channel, PIECE * _F32)), count, most, dst_size=_F16, src_size=_F32,
            )  # fmt: skip

    def _fetch(self, start: Ref, count: Index, most: int) -> None:
        """`count` positions of every channel: GM → UB, one burst per channel where planes are whole 32-byte units."""
        kb, lanes = self.kb, UNIT // _F32
        length, limits = kb.ceil_div(count, lanes), {"length": ceil_div(most, lanes)}
        if self.plane % lanes == 0 and self.plane // lanes <= 65535:
            kb.op(
                "copy_gm_to_ubuf", "", self.raw.now, start, bursts=self.channels, length=length,
                src_gap=kb.sub(self.plane // lanes, length), dst_gap=kb.sub(PIECE // lanes, length), limits=None,
                extents=(self.channels * PIECE * _F32, (self.channels - 1) * self.plane * _F32 + most * _F32),
            )  # fmt: skip
            return
        for channel in kb.few(self.channels):
            kb.op(
                "copy_gm_to_ubuf", "", self.raw.now + kb.linear(0, (channel, PIECE * _F32)),
                start + kb.linear(0, (channel, self.plane * _F32)), bursts=1, length=length, limits=limits,
            )  # fmt: skip
