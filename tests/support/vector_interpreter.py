"""Runs vector kernels straight from IR: `move_interpreter` plus vector arithmetic, counter mode and
reductions.

Independent of passes and simulator: it tells a generator bug from a pass bug.  Lanes that take part must be
defined.
"""

from __future__ import annotations

from typing import Any

import move_interpreter as mi
import numpy as np
from ascend_mlir.dialects.davinci import KernelOp
from ascend_mlir.dialects.davinci_instruction import InstructionOp
from ascend_mlir.runtime.isa.extents import lanes_of, operand_types
from ascend_mlir.runtime.isa.table import TABLE
from numpy.typing import NDArray

Array = NDArray[Any]


def _nine_bits(x: Array) -> Array:
    mantissa, exponent = np.frexp(x)
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(x), np.ldexp(np.floor(mantissa * 512) / 512, exponent), x)


BINARY = {
    "vadd": np.add, "vsub": np.subtract, "vmul": np.multiply, "vdiv": np.divide, "vmax": np.maximum,
    "vmin": np.minimum, "vand": np.bitwise_and, "vor": np.bitwise_or,
}  # fmt: skip
UNARY = {
    "vabs": np.abs, "vexp": np.exp, "vln": np.log, "vsqrt": np.sqrt, 
    "vrelu": lambda x: np.maximum(x, 0), "vnot": np.invert,
    "vrec": lambda x: _nine_bits(1 / x), "vrsqrt": lambda x: _nine_bits(1 / np.sqrt(x)),
}  # fmt: skip
SCALAR = {
    "vadds": np.add, "vmuls": np.multiply, "vmaxs": np.maximum, "vmins": np.minimum,
    "vlrelu": lambda x, s: np.where(x >= 0, x, x * s),
}  # fmt: skip
ROUND = {
    "a": lambda x: np.trunc(x + np.copysign(0.5, x)),
    "c": np.ceil,
    "f": np.floor,
    "r": np.rint,
    "z": np.trunc,
}


class Machine(mi._Machine):
    cycles = 0

    def instruction(self, op: InstructionOp, env: dict[Any, Any]) -> None:
        family = op.row.family
        if op.MNEMONIC == "vnchwconv" and op.dtype.data in ("f32", "s32", "u32"):
            values = {k: v if isinstance(v, int) else env[v] for k, v in op.named_values.items()}
            _transpose32(
                [(env[base], o if isinstance(o, int) else env[o]) for base, o in op.addresses], values
            )
            return
        if not family.startswith("vector_") or family == "vector_transpose":
            super().instruction(op, env)
            return
        values = {k: v if isinstance(v, int) else env[v] for k, v in op.named_values.items()}
        for spec in op.row.fields:
            assert spec.low <= values[spec.name] <= spec.high, f"{op.name} {spec.name} = {values[spec.name]}"
        places = [(env[base], o if isinstance(o, int) else env[o]) for base, o in op.addresses]
        from ascend_mlir.runtime.isa.extents import extents

        real, declared = extents(op.row, op.dtype.data, values), op.extents()
        for (memory, offset), used, limit in zip(places, real, declared, strict=True):
            assert used <= limit, f"{op.name}: touches {used} bytes, declares {limit}: {values}"
            assert not used or 0 <= offset <= memory.data.size - used, (
                f"{op.name}: {offset}+{used} of {memory.data.size}"
            )
            assert offset % 32 == 0, f"{op.name}: UB offset {offset}"
        with np.errstate(all="ignore"):
            (_reduce if family == "vector_reduce" else _elementwise)(
                op.MNEMONIC, op.dtype.data, places, values
            )


def _transpose32(places: list[tuple[mi.Memory, int]], v: dict[str, int]) -> None:
    """Eight columns of 16 rows: element (i, j) goes to row 2j + i // 8, lane i % 8."""
    (dst, to), (src, of) = places
    for r in range(v["repeat"]):
        rows = [of + (r * v["src_rep"] + i * v["src_row_stride"]) * 32 for i in range(16)]
        outs = [to + (r * v["dst_rep"] + i * v["dst_row_stride"]) * 32 for i in range(16)]
        for kind in ("data", "defined"):
            s, d = getattr(src, kind), getattr(dst, kind)
            tile = np.stack([s[a : a + 32].reshape(8, 4) for a in rows])
            for j in range(8):
                for half in (0, 1):
                    d[outs[2 * j + half] : outs[2 * j + half] + 32] = tile[
                        8 * half : 8 * half + 8, j
                    ].reshape(32)


def _geometry(v: dict[str, int], lanes: int) -> Array:
    """Active flags [repeat][lane]."""
    if v.get("count", -1) >= 0:
        repeats = -(-v["count"] // lanes)
        return np.arange(repeats * lanes).reshape(repeats, lanes) < v["count"]
    mask = (v["mask_hi"] & (2**64 - 1)) << 64 | v["mask_lo"] & (2**64 - 1)
    active = np.array([bool(mask >> i & 1) for i in range(lanes)])
    return np.broadcast_to(active, (v["repeat"], lanes))


def _spots(offset: int, v: dict[str, int], name: str, size: int, shape: tuple[int, ...]) -> Array:
    r, e = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    per = 32 // size
    return (
        offset + r * v.get(f"{name}_rep", 0) * 32 + e // per * v.get(f"{name}_blk", 1) * 32 + e % per * size
    )


def _read(
    place: tuple[mi.Memory, int], v: dict[str, int], name: str, dtype: str, active: Array, op: str
) -> Array:
    memory, offset = place
    size = np.dtype(mi.NUMPY[dtype]).itemsize
    spots = _spots(offset, v, name, size, active.shape)[active][..., None] + np.arange(size)
    assert memory.defined[spots].all(), f"{op} {dtype} {name}: arithmetic on undefined bytes"
    return np.ascontiguousarray(memory.data[spots]).view(mi.NUMPY[dtype])[..., 0]


def _write(place: tuple[mi.Memory, int], spots: Array, values: Array) -> None:
    memory, _ = place
    size = values.dtype.itemsize
    at = spots[..., None] + np.arange(size)
    memory.data[at] = np.ascontiguousarray(values)[..., None].view(np.uint8)
    memory.defined[at] = True


def _scalar(raw: int, dtype: str) -> Any:
    kind = np.dtype(mi.NUMPY[dtype])
    return np.array(raw & (256**kind.itemsize - 1), f"u{kind.itemsize}").view(kind)[()]


def _wide(x: Array, dtype: str) -> Array:
    return x.astype(np.float32) if dtype == "f16" else x


def _convert(x: Array, dtype: str, to: str, of: str) -> Array:
    if to[0] in "su" and of[0] == "f":
        suffix = dtype[len(of) + 1 + len(to) :] or "r"
        info = np.iinfo(mi.NUMPY[to])
        whole = ROUND[suffix](np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=info.max, neginf=info.min))
        return np.clip(whole, info.min, info.max).astype(mi.NUMPY[to])
    return x.astype(mi.NUMPY[to])


def _elementwise(op: str, dtype: str, places: list[tuple[mi.Memory, int]], v: dict[str, int]) -> None:
    row = TABLE[op]
    types = operand_types(row, dtype)
    lanes = lanes_of(types)
    active = _geometry(v, lanes)
    reads = [
        _read(p, v, a.name, t, active, op)
        for p, a, t in zip(places[1:], row.addresses[1:], types[1:], strict=True)
    ]
    to = mi.NUMPY[types[0]]
    spots = _spots(places[0][1], v, "dst", np.dtype(to).itemsize, active.shape)[active]
    if op == "vector_dup":
        values = np.full(spots.shape, _scalar(v["value"], dtype))
    elif op == "vconv":
        values = _convert(reads[0], dtype, types[0], types[1])
    elif op in BINARY:
        values = BINARY[op](_wide(reads[0], types[1]), _wide(reads[1], types[2])).astype(to)
    elif op in UNARY:
        values = UNARY[op](_wide(reads[0], types[1])).astype(to)
    else:
        scalar = _scalar(v["scalar"], types[1])
        values = SCALAR[op](_wide(reads[0], types[1]), _wide(np.asarray(scalar), types[1])).astype(to)
    _write(places[0], spots, values)


def _reduce(op: str, dtype: str, places: list[tuple[mi.Memory, int]], v: dict[str, int]) -> None:
    kind = np.dtype(mi.NUMPY[dtype])
    lanes, per = 256 // kind.itemsize, 32 // kind.itemsize
    active = _geometry(v, lanes)
    neutral = {"vcmax": -np.inf, "vcgmax": -np.inf, "vcmin": np.inf, "vcgmin": np.inf}.get(op, 0.0)
    full = np.full(active.shape, neutral, np.float32)
    full[active] = _read(places[1], v, "src", dtype, active, op)
    blocks = full.reshape(len(full), lanes // per, per)
    flags = active.reshape(blocks.shape)
    r = np.arange(len(full))
    if op == "vcadd":
        _write(places[0], places[0][1] + r * v["dst_rep"] * kind.itemsize, _tree(full).astype(kind))
        return
    assert op in ("vcgadd", "vcgmax", "vcgmin"), op
    fold = {"vcgadd": _tree, "vcgmax": lambda x: x.max(-1), "vcgmin": lambda x: x.min(-1)}[op]
    results, valid = fold(blocks), flags.any(-1)
    spots = places[0][1] + (8 * r[:, None] * v["dst_rep"] + np.arange(8)[None]) * kind.itemsize
    _write(places[0], spots[valid], results[valid].astype(kind))


def _tree(x: Array) -> Array:
    while x.shape[-1] > 1:
        x = (x[..., 0::2] + x[..., 1::2]).astype(np.float32)
    return x[..., 0]


def run(
    kernel: KernelOp, inputs: list[Array], output_bytes: list[int], ub_bytes: int = 262144
) -> list[Array]:
    """The bytes of the outputs after all blocks."""
    old = mi._Machine
    mi._Machine = Machine  # type: ignore[misc]
    try:
        return mi.run(kernel, inputs, output_bytes, ub_bytes)[0]
    finally:
        mi._Machine = old  # type: ignore[misc]
