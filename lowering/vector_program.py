"""The vector generator's own small program: one node per vector instruction, on whole tiles.

A fused `nn` body is first expanded (`vector_expand.py`) into nodes that are what the vector unit can do: one
mnemonic, one element type, one rounding.  A node also says along which dimensions of the iteration space its
value varies (`mask`); that alone decides whether it is a full tile, one value per row, one row for all rows,
or a single value, and hence how an instruction addresses it.  Equal nodes are made once.

Booleans are f16 0 or 1 on the chip (decision D13).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..runtime.soc import Soc

Mask = tuple[bool, ...]

SIZES = {"f16": 2, "f32": 4, "s32": 4, "u8": 1, "s8": 1, "s16": 2, "u16": 2}
"""Bytes per element on the chip."""

REDUCTIONS = {"reduce_sum": "vadd", "reduce_max": "vmax", "reduce_min": "vmin"}
"""Reduction nodes and the instruction that joins two partial results."""

NEUTRAL = {"reduce_sum": 0.0, "reduce_max": -math.inf, "reduce_min": math.inf}


@dataclass(frozen=True)
class Node:
    """`op` is a mnemonic, a reduction, "load" (imm = operand number), "splat" (imm = value) or "lanes" (imm =
    see `lane mask`): u16 all-ones in lanes that hold data, 0 in padding."""

    op: str
    dtype: str
    args: tuple[int, ...]
    imm: float | int | str | None
    mask: Mask
    optype: str
    body_op: int = 0

    @property
    def is_reduction(self) -> bool:
        return self.op in REDUCTIONS


def raw_bits(value: float, dtype: str) -> int:
    """Scalar operands are raw bits of the instruction's type."""
    if dtype == "f16":
        with np.errstate(over="ignore"):
            return int(np.float16(value).view(np.uint16))
    if dtype == "f32":
        with np.errstate(over="ignore"):
            return struct.unpack("<I", struct.pack("<f", np.float32(value)))[0]
    return int(value) & (0xFFFF if dtype in ("s16", "u16") else 0xFFFFFFFF)


class Program:
    """Nodes in execution order, with the small algebra that the expansions share."""

    def __init__(self, soc: Soc, extents: Sequence[int], reduced: Sequence[bool]) -> None:
        self.soc = soc
        self.nodes: list[Node] = []
        self.extents = tuple(extents)
        self.reduced = tuple(r and e > 1 for r, e in zip(reduced, extents, strict=True))
        self.body_op = 0
        self._known: dict[Node, int] = {}
        self.none: Mask = (False,) * len(self.extents)

    # ------------------------------------------------------------------ construction
    def _add(self, node: Node) -> int:
        key = replace(node, body_op=0)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(replace(node, body_op=self.body_op))
        return self._known[key]

    def load(self, operand: int, dtype: str, mask: Mask) -> int:
        return self._add(Node("load", dtype, (), operand, mask, dtype))

    def window(self, number: int, mask: Mask) -> int:
        """The result of the group's pooling op; `number` is its operand."""
        return self._add(Node("window", "f16", (), number, mask, "f16"))

    def lanes(self, what: str, mask: Mask, like: int) -> int:
        """All-ones or zero lanes, of the element size of node `like`."""
        dtype = "u16" if SIZES[self.dtype(like)] == 2 else "s32"
        return self._add(Node("lanes", dtype, (), what, mask, dtype))

    def splat(self, value: float, dtype: str = "f16") -> int:
        return self._add(Node("splat", dtype, (), float(value), self.none, dtype))

    def has(self, op: str, dtype: str) -> bool:
        return self.soc.core.supports(op, dtype)

    def dtype(self, x: int) -> str:
        return self.nodes[x].dtype

    def value_of(self, x: int) -> float | None:
        """The value of a splat."""
        node = self.nodes[x]
        return float(node.imm) if node.op == "splat" and isinstance(node.imm, int | float) else None

    def unary(self, op: str, x: int) -> int:
        n = self.nodes[x]
        return self._add(Node(op, n.dtype, (x,), None, n.mask, n.dtype))

    def scalar(self, op: str, x: int, value: float) -> int:
        """`op` with an immediate; on a chip without it, the two-operand form with a splat."""
        n = self.nodes[x]
        known = self.value_of(x)
        if known is not None and op in ("vadds", "vmuls"):
            return self.splat(known + value if op == "vadds" else known * value, n.dtype)
        if (op == "vadds" and value == 0) or (op == "vmuls" and value == 1):
            return x
        if self.has(op, n.dtype):
            return self._add(Node(op, n.dtype, (x,), value, n.mask, n.dtype))
        return self.binary(op[:-1], x, self.splat(value, n.dtype), fold=False)

    def binary(self, op: str, a: int, b: int, fold: bool = True, optype: str = "") -> int:
        if fold:
            folded = self._fold_scalar(op, a, b)
            if folded is not None:
                return folded
        na, nb = self.nodes[a], self.nodes[b]
        mask = tuple(p or q for p, q in zip(na.mask, nb.mask, strict=True))
        return self._add(Node(op, na.dtype, (a, b), None, mask, optype or na.dtype))

    def _fold_scalar(self, op: str, a: int, b: int) -> int | None:
        va, vb = self.value_of(a), self.value_of(b)
        if vb is not None and op in ("vadd", "vmul", "vmax", "vmin"):
            return self.scalar(op + "s", a, vb)
        if va is not None and op in ("vadd", "vmul", "vmax", "vmin"):
            return self.scalar(op + "s", b, va)
        if vb is not None and op == "vsub":
            return self.scalar("vadds", a, -vb)
        if va is not None and op == "vsub":
            return self.scalar("vadds", self.scalar("vmuls", b, -1.0), va)
        exact = vb is not None and vb != 0 and math.frexp(abs(vb))[0] == 0.5
        if op == "vdiv" and vb is not None and exact:
            return self.scalar("vmuls", a, 1.0 / vb)
        return None

    def reduce(self, op: str, x: int) -> int:
        n = self.nodes[x]
        constant = [e for m, r, e in zip(n.mask, self.reduced, self.extents, strict=True) if r and not m]
        if op == "reduce_sum":
            x = self.muls(x, float(math.prod(constant)))
            n = self.nodes[x]
        if not any(m and r for m, r in zip(n.mask, self.reduced, strict=True)):
            return x
        mask = tuple(m and not r for m, r in zip(n.mask, self.reduced, strict=True))
        return self._add(Node(op, n.dtype, (x,), None, mask, n.dtype))

    # ------------------------------------------------------------------ conversions
    def convert(self, x: int, suffix: str, dtype: str) -> int:
        """vconv with a type such as "f162s32r"."""
        n = self.nodes[x]
        return self._add(Node("vconv", dtype, (x,), suffix, n.mask, suffix))

    def cast(self, x: int, dtype: str) -> int:
        """Rounds to `dtype`; a value that was only rounded for the model's sake is taken unrounded."""
        n = self.nodes[x]
        if n.dtype == dtype:
            return x
        known = self.value_of(x)
        if known is not None:
            return self.splat(known, dtype)
        if n.op == "vconv" and self.nodes[n.args[0]].dtype == dtype == "f32" and n.imm == "f322f16":
            return n.args[0]
        direct = f"{n.dtype}2{dtype}"
        if self.has("vconv", direct):
            return self.convert(x, direct, dtype)
        if self.has("vconv", direct + "r"):
            return self.convert(x, direct + "r", dtype)
        if direct == "s322f32":
            return whole_to_float(self, x)
        if n.dtype != "f16" and dtype != "f16":
            return self.cast(self.cast(x, "f16"), dtype)
        raise ValueError(f"no conversion {direct} on {self.soc.name}")

    def wide(self, x: int) -> int:
        return self.cast(x, "f32")

    # ------------------------------------------------------------------ arithmetic in names
    def add(self, a: int, b: int) -> int:
        return self.binary("vadd", a, b)

    def sub(self, a: int, b: int) -> int:
        return self.binary("vsub", a, b)

    def mul(self, a: int, b: int) -> int:
        return self.binary("vmul", a, b)

    def adds(self, x: int, value: float) -> int:
        return self.scalar("vadds", x, value)

    def muls(self, x: int, value: float) -> int:
        return self.scalar("vmuls", x, value)

    def maxs(self, x: int, value: float) -> int:
        if value == 0 and self.has("vrelu", self.dtype(x)):
            return self.unary("vrelu", x)
        return self.scalar("vmaxs", x, value)

    def mins(self, x: int, value: float) -> int:
        return self.scalar("vmins", x, value)

    def reciprocal(self, x: int) -> int:
        """1/x: vdiv where the chip has it, else the 9-bit vrec and two Newton steps r(2 - xr) in f32."""
        dtype = self.dtype(x)
        if self.has("vdiv", dtype):
            return self.binary("vdiv", self.splat(1.0, dtype), x, fold=False)
        x = self.wide(x)
        r = self.unary("vrec", x)
        for _ in range(2):
            r = self.mul(r, self.adds(self.muls(self.mul(x, r), -1.0), 2.0))
        return self.cast(r, dtype)

    def divide(self, a: int, b: int) -> int:
        dtype = self.dtype(a)
        if self._fold_scalar("vdiv", a, b) is not None or self.has("vdiv", dtype):
            return self.binary("vdiv", a, b)
        return self.cast(self.mul(self.wide(a), self.reciprocal(self.wide(b))), dtype)

    def rsqrt(self, x: int) -> int:
        """1/√x of an f32: √ and / where the chip has them, else vrsqrt and Newton steps y(1.5 - xy²/2)."""
        if self.has("vsqrt", "f32") and self.has("vdiv", "f32"):
            return self.reciprocal(self.unary("vsqrt", x))
        y = self.unary("vrsqrt", x)
        for _ in range(2):
            y = self.mul(y, self.adds(self.muls(self.mul(x, self.mul(y, y)), -0.5), 1.5))
        return y

    def sqrt(self, x: int) -> int:
        dtype = self.dtype(x)
        if self.has("vsqrt", dtype):
            return self.unary("vsqrt", x)
        x = self.wide(x)
        return self.cast(self.mul(x, self.rsqrt(self.scalar("vmaxs", x, 1e-30))), dtype)

    def exp(self, x: int) -> int:
        """e^x: by the chip, or in f32 from multiplications: a polynomial of x/256, squared eight times."""
        if self.has("vexp", self.dtype(x)):
            return self.unary("vexp", x)
        small = self.muls(self.scalar("vmins", self.scalar("vmaxs", x, -80.0), 80.0), 1.0 / 256)
        power = self.polynomial(small, [1.0 / math.factorial(i) for i in range(6, -1, -1)])
        for _ in range(8):
            power = self.mul(power, power)
        return power

    def log(self, x: int) -> int:
        dtype = self.dtype(x)
        if self.has("vln", dtype):
            return self.unary("vln", x)
        return self.cast(self.unary("vln", self.cast(x, "f16")), dtype)

    def bits(self, op: str, a: int, b: int, dtype: str) -> int:
        """`vand` or `vor` of two values, its result read as another type of the same size."""
        mask = tuple(p or q for p, q in zip(self.nodes[a].mask, self.nodes[b].mask, strict=True))
        return self._add(Node(op, dtype, (a, b), None, mask, "u16"))

    def bit_not(self, x: int) -> int:
        """All bits inverted (on 16-bit lanes)."""
        n = self.nodes[x]
        return self._add(Node("vnot", n.dtype, (x,), None, n.mask, "u16"))

    def polynomial(self, x: int, coefficients: Sequence[float]) -> int:
        """Horner, highest coefficient first."""
        total = self.adds(self.muls(x, coefficients[0]), coefficients[1])
        for c in coefficients[2:]:
            total = self.adds(self.mul(total, x), c)
        return total


LOW_BITS = 23
"""Bits of a whole number that an f32 from 2^23 on has in its lowest places, unchanged."""
_LOW = float(2**LOW_BITS - 1)
_EXPONENT = float(0x4B000000)
"""The bits of 2^23 in f32."""


def whole_to_float(p: Program, x: int) -> int:
    """s32 → f32, rounded once, without a conversion: for chips whose only one is to f16, exact up to 2048.

    The low 23 bits are the mantissa of a number from 2^23 on. The 9 above have no way down but one by one: bit b alone is 0 or at
    least 2^(b-23), so a minimum makes it that.
    """
    high = p.mul(p.maxs(p.mins(x, 0.0), -1.0), p.splat(256.0, "s32"))
    for bit in range(LOW_BITS, 31):
        alone = p.bits("vand", x, p.splat(float(1 << bit), "s32"), "s32")
        high = p.add(high, p.mins(alone, float(1 << bit - LOW_BITS)))
    high = p.add(high, p.splat(256.0, "s32"))
    low = p.bits("vand", x, p.splat(_LOW, "s32"), "s32")
    upper = p.adds(_mantissa(p, high), -256.0)
    return p.add(p.muls(upper, 2.0**LOW_BITS), _mantissa(p, low))


def _mantissa(p: Program, x: int) -> int:
    """s32 of at most 23 bits → f32."""
    return p.adds(p.bits("vor", x, p.splat(_EXPONENT, "s32"), "f32"), -(2.0**LOW_BITS))


def float_to_whole(p: Program, x: int) -> int:
    """f32 → s32, towards zero, saturating, without a conversion."""
    size = p.mins(p.unary("vabs", x), 2.0**31 - 128)
    step = 2.0**22
    upper = _floor(p, p.muls(size, 1 / step))
    lower = _floor(p, p.sub(size, p.muls(upper, step)))
    whole = p.add(p.mul(_whole_bits(p, upper), p.splat(step, "s32")), _whole_bits(p, lower))
    signed = p.bits("vor", x, x, "s32")
    below = p.maxs(p.mins(signed, 0.0), -1.0)
    return p.mul(whole, p.add(p.add(below, below), p.splat(1.0, "s32")))


def _floor(p: Program, x: int) -> int:
    """Of f32 from 0 to 2^22: rounded by adding 2^23, less 1 where that went up."""
    rounded = p.adds(p.adds(x, 2.0**LOW_BITS), -(2.0**LOW_BITS))
    above = p.maxs(p.sub(rounded, x), 0.0)  # 0, or at least 2^-24
    return p.sub(rounded, p.mins(p.muls(above, 2.0**24), 1.0))


def _whole_bits(p: Program, x: int) -> int:
    """f32 that is whole and below 2^23 → s32."""
    return p.bits("vand", p.adds(x, 2.0**LOW_BITS), p.splat(_LOW, "s32"), "s32")


def preserves_zero(program: Program, results: Sequence[int], along: int = -1) -> bool:
    """Whether zero padding in all inputs gives zero padding in all results (decision D9).

    With `along`, padding of that dim is meant: inputs that do not vary along it have no zeros there.
    """
    values: list[float] = []
    with np.errstate(all="ignore"):
        for node in program.nodes:
            if node.op == "load" and along >= 0 and not node.mask[along]:
                values.append(math.nan)
                continue
            values.append(_scalar_value(node, [values[a] for a in node.args]))
    return all(values[r] == 0 for r in results)


_ON_SCALARS: dict[str, Callable[[np.float32, np.float32], np.float32]] = {
    "vadds": np.add,
    "vmuls": np.multiply,
    "vmaxs": np.maximum,
    "vmins": np.minimum,
    "vadd": np.add,
    "vsub": np.subtract,
    "vmul": np.multiply,
    "vmax": np.maximum,
    "vmin": np.minimum,
    "vdiv": np.divide,
    "vexp": lambda x, _: np.exp(x),
    "vln": lambda x, _: np.log(x),
    "vsqrt": lambda x, _: np.sqrt(x),
    "vrsqrt": lambda x, _: 1 / np.sqrt(x),
    "vrec": lambda x, _: 1 / x,
    "vabs": lambda x, _: np.abs(x),
    "vrelu": lambda x, _: np.maximum(x, 0),
    "vlrelu": lambda x, _: x,  # right for 0, and only 0 matters
    "vconv": lambda x, _: x,
    "reduce_sum": lambda x, _: x,
    "reduce_max": lambda x, _: x,
    "reduce_min": lambda x, _: x,
    "vand": lambda x, y: np.float32(0 if x == 0 or y == 0 else np.nan),
    "vor": lambda x, y: np.float32(0 if x == 0 and y == 0 else np.nan),
}


def _scalar_value(node: Node, args: list[float]) -> float:
    """The node's value where its arguments have these values; NaN where that is not known."""
    if node.op in ("load", "window"):
        return 0.0
    imm = float(node.imm) if isinstance(node.imm, int | float) else 0.0
    if node.op == "splat":
        return imm
    compute = _ON_SCALARS.get(node.op)
    if compute is None or not args:
        return math.nan
    second = args[1] if len(args) > 1 else imm
    return float(compute(np.float32(args[0]), np.float32(second)))
