"""Random davinci kernels: nests up to three deep, rings, conditionals, affine offsets, all pipes."""

from __future__ import annotations

import random

from ascend_mlir.dialects.davinci import KernelOp
from ascend_mlir.lowering.kernel_builder import Index, KernelBuilder, Linear, Ref
from ascend_mlir.runtime.soc import Soc

UNIT = 512  # bytes that most instructions of a random program touch
SPACES = {"l1": 4, "l0a": 2, "l0b": 2, "l0c": 2, "ub": 6}  # buffers are so many units


class RandomKernel:
    """One kernel from a seed."""

    def __init__(self, seed: int, soc: Soc, *, breaks: bool = False) -> None:
        self.random = random.Random(seed)
        self.kb = KernelBuilder(f"random_{seed}", soc, gm_args=3, blocks=2)
        self.breaks = breaks
        self.loops: list[tuple[Index, int]] = []
        self.buffers: dict[str, list[Ref]] = {space: [] for space in SPACES}
        self.left = self.random.randint(6, 22)
        self._scalar = self.kb.add(self.kb.block_idx, self.random.randint(0, 3))

    def make(self) -> KernelOp:
        while self.left > 0:
            self._block(0)
        return self.kb.kernel

    def _block(self, depth: int) -> None:
        known = {space: len(refs) for space, refs in self.buffers.items()}
        for _ in range(self.random.randint(1, 5)):
            kind = self.random.random()
            if kind < 0.3 and depth < 3:
                self._loop(depth)
            elif kind < 0.36 and depth and depth < 3:
                self._if(depth)
            else:
                self._instruction()
        for space, count in known.items():
            del self.buffers[space][count:]

    def _loop(self, depth: int) -> None:
        trip: Index = self.random.randint(0, 4) if self.random.random() < 0.9 else self.random.randint(2, 4)
        most = trip
        if self.random.random() < 0.3:
            most = 4
            outer = self.loops[-1][0] if self.loops else self._scalar
            trip = self.kb.min(4, self.kb.rem(self.kb.add(outer, 1), 4))
        if trip == 1:
            trip = 2
            most = 2
        with self.kb.loop(trip) as i:
            self.loops.append((i, int(most)))
            self._block(depth + 1)
            self.loops.pop()

    def _if(self, depth: int) -> None:
        condition = self.kb.less(self.loops[-1][0], self.random.randint(0, 3))
        with self.kb.when(condition):
            self._block(depth + 1)

    # ------------------------------------------------------------------ operands
    def _buffer(self, space: str) -> Ref:
        refs = self.buffers[space]
        if not refs or self.random.random() < 0.25:
            refs.append(
                self.kb.alloc(
                    space,
                    SPACES[space] * UNIT * (2 if space == "l0c" else 1),
                    self.random.choice((1, 1, 2, 3)),
                )
            )
        return self.random.choice(refs)

    def _place(self, space: str, units: int) -> Ref:
        """A unit of a buffer, sometimes moving with loops."""
        size = UNIT * (2 if space == "l0c" else 1)
        return self._buffer(space) + self._offset(SPACES[space] - units, size)

    def _offset(self, room: int, size: int) -> Linear:
        total = Linear(0)
        for i, most in self.random.sample(self.loops, self.random.randint(0, min(2, len(self.loops)))):
            factor = self.random.choice((1, 1, 2))
            if not isinstance(i, int) and factor * max(0, most - 1) <= room:
                total += Linear(0, ((i, factor * size),))
                room -= factor * max(0, most - 1)
        return total + self.random.randint(0, room) * size

    def _gm(self) -> Ref:
        linear = self._offset(30, UNIT)
        if self.random.random() < 0.3:
            linear += self.random.choice((32, 256))
        return self.random.choice(self.kb.args) + linear

    # ------------------------------------------------------------------ instructions
    def _instruction(self) -> None:
        self.left -= 1
        r, kb = self.random, self.kb
        match r.randint(0, 10):
            case 0 if self.loops and r.random() < 0.4 and not isinstance(self.loops[-1][0], int):
                first = kb.equal(r.choice(self.loops)[0], r.choice((0, 0, 1)))
                if r.random() < 0.5:
                    count = kb.select(first, 1, 0)
                    target, source = self._place("ub", 1), self._gm()
                    kb.op(
                        "copy_gm_to_ubuf", "", target, source, bursts=count, length=16, limits={"bursts": 1}
                    )
                else:
                    target, source = self._place("l1", 1), self._gm()
                    with kb.when(first):
                        kb.op("copy_gm_to_cbuf", "", target, source, bursts=1, length=16)
            case 0 | 1:
                if r.random() < 0.3:
                    kb.op(
                        "copy_gm_to_ubuf",
                        "",
                        self._place("ub", 2),
                        self._gm(),
                        bursts=2,
                        length=8,
                        src_gap=r.choice((8, 24)),
                        dst_gap=r.choice((0, 8)),
                    )
                else:
                    kb.op("copy_gm_to_ubuf", "", self._place("ub", 1), self._gm(), bursts=1, length=16)
            case 2:
                kb.op("copy_gm_to_cbuf", "", self._place("l1", 1), self._gm(), bursts=1, length=16)
            case 3:
                kb.op(
                    "copy_cbuf_to_ubuf", "", self._place("ub", 1), self._place("l1", 1), bursts=1, length=16
                )
            case 4:
                kb.op(
                    "copy_ubuf_to_cbuf", "", self._place("l1", 1), self._place("ub", 1), bursts=1, length=16
                )
            case 5 | 6:
                kb.op(
                    "copy_ubuf_to_gm",
                    "",
                    self._gm(),
                    self._place("ub", 2),
                    bursts=2,
                    length=8,
                    src_gap=r.choice((0, 8)),
                    dst_gap=r.choice((0, 8, 56)),
                )
            case 7:
                kb.op(
                    "vadd", "f16", self._place("ub", 1), self._place("ub", 1), self._place("ub", 1), repeat=2
                )
            case 8 if r.random() < 0.3:
                kb.op("vcmp", "f16", self._place("ub", 1), self._place("ub", 1), condition=2)
                kb.op(
                    "vsel", "f16", self._place("ub", 1), self._place("ub", 1), self._place("ub", 1), repeat=1
                )
            case 8 if r.random() < 0.2:
                target = self._place("ub", 1) if r.random() < 0.5 else self._gm()
                kb.op("store_scalar", "", target, a=r.randint(0, 9), bytes=4)
            case 8:
                kb.op(
                    "vrelu",
                    "f16",
                    self._place("ub", 1),
                    self._place("ub", 1),
                    repeat=r.choice((1, 2)),
                    mask_lo=r.choice((-1, 255)),
                )
            case 9:
                kb.op("load2d", "f16", self._place("l0a", 1), self._place("l1", 1), repeat=1)
                kb.op("load2d", "f16", self._place("l0b", 1), self._place("l1", 1), repeat=1)
                kb.op(
                    "mad",
                    "f32f16f16",
                    self._place("l0c", 1),
                    self._place("l0a", 1),
                    self._place("l0b", 1),
                    m=16,
                    k=16,
                    n=16,
                    init=r.choice((0, 1)),
                )
            case _:
                kb.op(
                    "copy_matrix_cc_to_ubuf",
                    "f322f16",
                    self._place("ub", 1),
                    self._place("l0c", 1),
                    bursts=1,
                    length=1,
                )
