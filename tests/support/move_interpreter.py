"""Runs a davinci kernel straight from IR, before any pass: buffers are fresh (and poisoned) at each
`davinci.alloc`.

Only what the move generator emits is known.  Besides the bytes it checks what the machine's rules say about
them: undefined bytes must not be computed with, a store stays inside the tensor and its spare bytes, and
two blocks never write the same 32-byte piece of a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ascend_mlir.dialects.davinci import AllocOp, BlockIdxOp, KernelOp, OffsetOp
from ascend_mlir.dialects.davinci_instruction import InstructionOp
from numpy.typing import NDArray
from xdsl.dialects import arith, scf
from xdsl.ir import Block, Operation, SSAValue

Bytes = NDArray[np.uint8]
SPARE = 32
NUMPY = {
    "f16": np.float16,
    "f32": np.float32,
    "s16": np.int16,
    "u16": np.uint16,
    "s32": np.int32,
    "u32": np.uint32,
    "s8": np.int8,
    "u8": np.uint8,
}


@dataclass
class Memory:
    """Bytes with a defined flag each; for GM also which block wrote each 32-byte piece."""

    data: Bytes
    defined: NDArray[np.bool_]
    size: int = 0
    owner: NDArray[np.int64] | None = None
    name: str = ""


@dataclass
class Counts:
    gm_bytes: int = 0
    dmas: int = 0
    vector: int = 0
    per_block: dict[int, int] = field(default_factory=dict)


def _poisoned(size: int) -> Memory:
    return Memory(np.full(size, 0xA5, np.uint8), np.zeros(size, np.bool_))


def run(
    kernel: KernelOp, inputs: list[NDArray[Any]], output_bytes: list[int], ub_bytes: int = 262144
) -> tuple[list[Bytes], Counts]:
    """Runs all blocks; returns the bytes of the outputs."""
    gm: list[Memory] = []
    for array in inputs:
        raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        memory = _poisoned(raw.size + SPARE)
        memory.data[: raw.size], memory.defined[: raw.size], memory.size = raw, True, raw.size
        gm.append(memory)
    for size in output_bytes:
        memory = _poisoned(size + SPARE)
        memory.size, memory.owner = size, np.full(-(-(size + SPARE) // 32), -1)
        gm.append(memory)
    counts = Counts()
    _check_capacity(kernel, ub_bytes)
    for block in range(kernel.blocks.value.data):
        _Machine(gm, block, counts).block(
            kernel.body.block, dict(zip(kernel.body.block.args, gm, strict=True))
        )
    outputs = gm[len(inputs) :]
    for memory in outputs:
        assert memory.defined[: memory.size].all(), (
            f"undefined output bytes, first at {np.argmin(memory.defined[: memory.size])}"
        )
    return [memory.data[: memory.size] for memory in outputs], counts


def _check_capacity(kernel: KernelOp, ub_bytes: int) -> None:
    total = sum(op.result.type.size.data * op.ring_depth for op in kernel.walk() if isinstance(op, AllocOp))
    assert total <= ub_bytes, f"{total} bytes of UB"


class _Machine:
    def __init__(self, gm: list[Memory], index: int, counts: Counts) -> None:
        self.index = index
        self.gm = gm
        self.counts = counts

    def block(self, block: Block, env: dict[SSAValue, Any]) -> None:
        for op in block.ops:
            self.op(op, env)

    def op(self, op: Operation, env: dict[SSAValue, Any]) -> None:
        match op:
            case arith.ConstantOp():
                env[op.result] = op.value.value.data
            case BlockIdxOp():
                env[op.result] = self.index
            case OffsetOp():
                constant, terms = op.linear
                env[op.result] = constant + sum(env[v] * s for v, s in terms)
            case AllocOp():
                env[op.result] = _poisoned(op.result.type.size.data)
            case scf.ForOp():
                for i in range(env[op.lb], env[op.ub], env[op.step]):
                    env[op.body.block.args[0]] = i
                    self.block(op.body.block, env)
            case scf.IfOp():
                if env[op.cond]:
                    self.block(op.true_region.block, env)
            case scf.YieldOp():
                pass
            case InstructionOp():
                self.instruction(op, env)
            case _:
                env[op.results[0]] = (
                    _ALU[op.name](*(env[v] for v in op.operands))
                    if op.name != "arith.cmpi"
                    else _compare(op, env)
                )

    def instruction(self, op: InstructionOp, env: dict[SSAValue, Any]) -> None:
        values = {k: v if isinstance(v, int) else env[v] for k, v in op.named_values.items()}
        for spec in op.row.fields:
            assert spec.low <= values[spec.name] <= spec.high, f"{op.name} {spec.name} = {values[spec.name]}"
        places = [
            (env[base], offset if isinstance(offset, int) else env[offset]) for base, offset in op.addresses
        ]
        static = dict(values)
        from ascend_mlir.runtime.isa.extents import extents

        real, declared = extents(op.row, op.dtype.data, static), op.extents()
        for (memory, offset), used, limit in zip(places, real, declared, strict=True):
            assert used <= limit, f"{op.name}: touches {used} bytes, declares {limit}: {values}"
            if used:
                assert offset >= 0 and offset + used <= memory.data.size, (
                    f"{op.name}: {offset}+{used} of {memory.data.size}"
                )
            if memory.owner is None and memory.size == 0:
                assert offset % 32 == 0, f"{op.name}: UB offset {offset}"
        name = op.MNEMONIC
        if name.startswith("copy_"):
            self.copy(places, values)
        elif name == "vnchwconv":
            _transpose(places, values, op.dtype.data)
            self.counts.vector += values["repeat"]
        elif name == "vtranspose":
            raise AssertionError("not used")
        else:
            _vector(name, op.dtype.data, places, values)
            self.counts.vector += values["repeat"]

    def copy(self, places: list[tuple[Memory, int]], v: dict[str, int]) -> None:
        (dst, to), (src, of) = places
        n, length = v["bursts"], v["length"] * 32
        if n == 0 or length == 0:
            return
        for i in range(n):
            a, b = to + i * (length + v["dst_gap"] * 32), of + i * (length + v["src_gap"] * 32)
            dst.data[a : a + length] = src.data[b : b + length]
            dst.defined[a : a + length] = src.defined[b : b + length]
            if dst.owner is not None:
                assert a + length <= dst.size + SPARE
                piece = dst.owner[a // 32 : -(-min(a + length, dst.size) // 32)]
                assert ((piece == -1) | (piece == self.index)).all(), (
                    f"two blocks write one 32-byte piece near {a}"
                )
                piece[:] = self.index
        if dst.size or src.size:
            self.counts.gm_bytes += n * length
            self.counts.dmas += 1


_ALU = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divui": lambda a, b: a // b,
    "arith.remui": lambda a, b: a % b,
    "arith.minsi": min,
    "arith.shli": lambda a, b: a << b,
    "arith.maxsi": max,
    "arith.select": lambda c, a, b: a if c else b,
    "davinci.cast": lambda a: a,
}


def _compare(op: Operation, env: dict[SSAValue, Any]) -> bool:
    a, b = (env[v] for v in op.operands)
    assert isinstance(op, arith.CmpiOp)
    return {0: a == b, 2: a < b}[op.predicate.value.data]


def _transpose(places: list[tuple[Memory, int]], v: dict[str, int], dtype: str) -> None:
    (dst, to), (src, of) = places
    for r in range(v["repeat"]):
        rows = [of + r * v["src_rep"] * 32 + i * v["src_row_stride"] * 32 for i in range(16)]
        outs = [to + r * v["dst_rep"] * 32 + i * v["dst_row_stride"] * 32 for i in range(16)]
        for kind in ("data", "defined"):
            s, d = getattr(src, kind), getattr(dst, kind)
            if dtype in ("u8", "s8"):
                tile = np.stack([s[a + 16 * v["src_high"] : a + 16 * v["src_high"] + 16] for a in rows])
                for j, a in enumerate(outs):
                    d[a + 16 * v["dst_high"] : a + 16 * v["dst_high"] + 16] = tile[:, j]
            else:
                tile = np.stack([s[a : a + 32].reshape(16, 2) for a in rows])
                for j, a in enumerate(outs):
                    d[a : a + 32] = tile[:, j].reshape(32)


def _lanes(offset: int, v: dict[str, int], operand: str, size: int, lanes: int) -> NDArray[np.int64]:
    e, r = np.arange(lanes), np.arange(v["repeat"])
    per = 32 // size
    return (
        offset
        + r[:, None] * v[f"{operand}_rep"] * 32
        + (e // per * v.get(f"{operand}_blk", 1) * 32 + e % per * size)[None]
    )


def _vector(name: str, dtype: str, places: list[tuple[Memory, int]], v: dict[str, int]) -> None:
    assert v.get("count", -1) < 0
    to, of = (
        (dtype[4:7] if dtype[4:6] not in ("s8", "u8") else dtype[4:6], dtype[:3])
        if name == "vconv"
        else (dtype, dtype)
    )
    sizes = np.dtype(NUMPY[to]).itemsize, np.dtype(NUMPY[of]).itemsize
    lanes = min(128, 256 // max(sizes))
    mask = (v["mask_hi"] & (2**64 - 1)) << 64 | v["mask_lo"] & (2**64 - 1)
    active = np.array([bool(mask >> i & 1) for i in range(lanes)])
    dst, base = places[0]
    where = _lanes(base, v, "dst", sizes[0], lanes)[:, active]
    if name == "vector_dup":
        values = np.full(where.shape, v["value"] & (256 ** sizes[0] - 1), f"u{sizes[0]}")
    else:
        src, start = places[1]
        spots = _lanes(start, v, "src", sizes[1], lanes)[:, active][..., None] + np.arange(sizes[1])
        assert src.defined[spots].all(), f"{name} {dtype}: arithmetic on undefined bytes"
        read = np.ascontiguousarray(src.data[spots]).view(NUMPY[of])[..., 0]
        assert name == "vconv", name
        values = read.astype(NUMPY[to])
    spots = where[..., None] + np.arange(sizes[0])
    dst.data[spots] = np.ascontiguousarray(values)[..., None].view(np.uint8)
    dst.defined[spots] = True
