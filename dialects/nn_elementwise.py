"""Elementwise ops of `nn`: one value out for each position, numpy broadcasting between operands.

On the chip these are vector instructions (or sequences of them); which fit into the epilogue of a
convolution or a matmul is decided by fusion, so here they are only named. Everything the hardware has no
opinion about (Mish, Softsign, …) is composed of these at import.
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, TypeAlias

from xdsl.dialects.builtin import FloatAttr, StringAttr, TensorType, UnitAttr
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Commutative, Pure

from . import nn_shapes
from .nn_attrs import FLOAT, NNOp

Value: TypeAlias = SSAValue | Operation


class UnaryOp(NNOp, ABC):
    """One operand, same shape, same element type."""

    SHAPE = staticmethod(nn_shapes.same)
    input = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, input: Value) -> None:
        self._setup([input])


class BinaryOp(NNOp, ABC):
    """Two operands that broadcast, same element type."""

    SHAPE = staticmethod(nn_shapes.elementwise)
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, lhs: Value, rhs: Value) -> None:
        self._setup([lhs, rhs])


class CommutativeOp(BinaryOp, ABC):
    """A binary op whose operands may be exchanged."""

    traits = traits_def(Commutative())


class CompareOp(BinaryOp, ABC):
    """Two operands of one element type, result bool."""

    ELEMENT_RULE: ClassVar = "bool"


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0)"""

    name = "nn.relu"


@irdl_op_definition
class NegOp(UnaryOp):
    """-x"""

    name = "nn.neg"


@irdl_op_definition
class AbsOp(UnaryOp):
    """|x|"""

    name = "nn.abs"


@irdl_op_definition
class ExpOp(UnaryOp):
    """e^x"""

    name = "nn.exp"


@irdl_op_definition
class LogOp(UnaryOp):
    """Natural logarithm."""

    name = "nn.log"


@irdl_op_definition
class SqrtOp(UnaryOp):
    """Square root."""

    name = "nn.sqrt"


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / sqrt(x)"""

    name = "nn.rsqrt"


@irdl_op_definition
class ReciprocalOp(UnaryOp):
    """1 / x"""

    name = "nn.reciprocal"


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + e^-x)"""

    name = "nn.sigmoid"


@irdl_op_definition
class TanhOp(UnaryOp):
    """Hyperbolic tangent."""

    name = "nn.tanh"


@irdl_op_definition
class ErfOp(UnaryOp):
    """Error function."""

    name = "nn.erf"


@irdl_op_definition
class FloorOp(UnaryOp):
    """Rounds down."""

    name = "nn.floor"


@irdl_op_definition
class CeilOp(UnaryOp):
    """Rounds up."""

    name = "nn.ceil"


@irdl_op_definition
class RoundOp(UnaryOp):
    """Rounds to the nearest integer, ties to even."""

    name = "nn.round"


@irdl_op_definition
class SignOp(UnaryOp):
    """-1, 0 or 1."""

    name = "nn.sign"


@irdl_op_definition
class SinOp(UnaryOp):
    """Sine of radians."""

    name = "nn.sin"


@irdl_op_definition
class CosOp(UnaryOp):
    """Cosine of radians."""

    name = "nn.cos"


@irdl_op_definition
class AtanOp(UnaryOp):
    """Inverse tangent, in radians."""

    name = "nn.atan"


@irdl_op_definition
class SoftplusOp(UnaryOp):
    """log(1 + e^x)"""

    name = "nn.softplus"


@irdl_op_definition
class HardSwishOp(UnaryOp):
    """x · max(0, min(1, x/6 + 1/2))"""

    name = "nn.hard_swish"


@irdl_op_definition
class NotOp(UnaryOp):
    """Logical negation of a bool."""

    name = "nn.not"


@irdl_op_definition
class IsNanOp(UnaryOp):
    """Whether x is NaN, as bool."""

    name = "nn.is_nan"
    ELEMENT_RULE: ClassVar = "bool"


@irdl_op_definition
class LeakyReluOp(UnaryOp):
    """x where x ≥ 0, else alpha · x"""

    name = "nn.leaky_relu"
    alpha = prop_def(FLOAT)

    def __init__(self, input: Value, alpha: float) -> None:
        self._setup([input], {"alpha": float(alpha)})


@irdl_op_definition
class EluOp(UnaryOp):
    """x where x > 0, else alpha · (e^x - 1)"""

    name = "nn.elu"
    alpha = prop_def(FLOAT)

    def __init__(self, input: Value, alpha: float) -> None:
        self._setup([input], {"alpha": float(alpha)})


@irdl_op_definition
class CeluOp(UnaryOp):
    """max(0, x) + min(0, alpha · (e^(x/alpha) - 1))"""

    name = "nn.celu"
    alpha = prop_def(FLOAT)

    def __init__(self, input: Value, alpha: float) -> None:
        self._setup([input], {"alpha": float(alpha)})


@irdl_op_definition
class SeluOp(UnaryOp):
    """gamma · (x where x > 0, else alpha · (e^x - 1))"""

    name = "nn.selu"
    alpha = prop_def(FLOAT)
    gamma = prop_def(FLOAT)

    def __init__(self, input: Value, alpha: float, gamma: float) -> None:
        self._setup([input], {"alpha": float(alpha), "gamma": float(gamma)})


@irdl_op_definition
class HardSigmoidOp(UnaryOp):
    """max(0, min(1, alpha · x + beta))"""

    name = "nn.hard_sigmoid"
    alpha = prop_def(FLOAT)
    beta = prop_def(FLOAT)

    def __init__(self, input: Value, alpha: float, beta: float) -> None:
        self._setup([input], {"alpha": float(alpha), "beta": float(beta)})


@irdl_op_definition
class ClipOp(UnaryOp):
    """min(max(x, min), max); a bound that is absent does not bound."""

    name = "nn.clip"
    min: FloatAttr | None = opt_prop_def(FLOAT)
    max: FloatAttr | None = opt_prop_def(FLOAT)

    def __init__(self, input: Value, min: float | None = None, max: float | None = None) -> None:
        self._setup(
            [input],
            {"min": None if min is None else float(min), "max": None if max is None else float(max)},
        )


@irdl_op_definition
class GeluOp(UnaryOp):
    """x · Phi(x), by erf (approximate none) or by tanh."""

    name = "nn.gelu"
    WORDS: ClassVar = {"approximate": ("none", "tanh")}
    approximate = prop_def(StringAttr)

    def __init__(self, input: Value, approximate: str = "none") -> None:
        self._setup([input], {"approximate": approximate})


@irdl_op_definition
class CastOp(UnaryOp):
    """Converts to the result's element type; float to integer truncates, float to float rounds to even."""

    name = "nn.cast"
    ELEMENT_RULE: ClassVar = "any"

    def __init__(self, input: Value, dtype: str) -> None:
        self._setup([input], dtype=dtype)


@irdl_op_definition
class AddOp(CommutativeOp):
    """lhs + rhs"""

    name = "nn.add"


@irdl_op_definition
class SubOp(BinaryOp):
    """lhs - rhs"""

    name = "nn.sub"


@irdl_op_definition
class MulOp(CommutativeOp):
    """lhs · rhs"""

    name = "nn.mul"


@irdl_op_definition
class DivOp(BinaryOp):
    """lhs / rhs; integers truncate towards zero."""

    name = "nn.div"


@irdl_op_definition
class MaxOp(CommutativeOp):
    """The larger one; NaN wins."""

    name = "nn.max"


@irdl_op_definition
class MinOp(CommutativeOp):
    """The smaller one; NaN wins."""

    name = "nn.min"


@irdl_op_definition
class PowOp(BinaryOp):
    """lhs to the power of rhs; the exponent may have another element type."""

    name = "nn.pow"
    ELEMENT_RULE: ClassVar = "first"


@irdl_op_definition
class ModOp(BinaryOp):
    """Remainder with the sign of rhs, or of lhs with `fmod`."""

    name = "nn.mod"
    fmod: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(self, lhs: Value, rhs: Value, fmod: bool = False) -> None:
        self._setup([lhs, rhs], {"fmod": fmod})


@irdl_op_definition
class PreluOp(BinaryOp):
    """lhs where lhs ≥ 0, else rhs · lhs; rhs broadcasts to lhs."""

    name = "nn.prelu"
    SHAPE = staticmethod(nn_shapes.prelu)


@irdl_op_definition
class EqualOp(CompareOp):
    """lhs = rhs"""

    name = "nn.equal"


@irdl_op_definition
class LessOp(CompareOp):
    """lhs < rhs"""

    name = "nn.less"


@irdl_op_definition
class LessEqualOp(CompareOp):
    """lhs ≤ rhs"""

    name = "nn.less_equal"


@irdl_op_definition
class GreaterOp(CompareOp):
    """lhs > rhs"""

    name = "nn.greater"


@irdl_op_definition
class GreaterEqualOp(CompareOp):
    """lhs ≥ rhs"""

    name = "nn.greater_equal"


@irdl_op_definition
class AndOp(CommutativeOp):
    """Both (bool)."""

    name = "nn.and"


@irdl_op_definition
class OrOp(CommutativeOp):
    """Either (bool)."""

    name = "nn.or"


@irdl_op_definition
class XorOp(CommutativeOp):
    """Exactly one (bool)."""

    name = "nn.xor"


@irdl_op_definition
class BitAndOp(CommutativeOp):
    """lhs & rhs on the bits of integers"""

    name = "nn.bit_and"


@irdl_op_definition
class BitOrOp(CommutativeOp):
    """lhs | rhs on the bits of integers"""

    name = "nn.bit_or"


@irdl_op_definition
class BitXorOp(CommutativeOp):
    """lhs ^ rhs on the bits of integers"""

    name = "nn.bit_xor"


@irdl_op_definition
class BitNotOp(UnaryOp):
    """All bits of an integer inverted"""

    name = "nn.bit_not"


@irdl_op_definition
class WhereOp(NNOp):
    """on_true where the condition holds, else on_false; all three broadcast."""

    name = "nn.where"
    SHAPE = staticmethod(nn_shapes.elementwise)
    ELEMENT_RULE: ClassVar = "where"
    condition = operand_def(TensorType)
    on_true = operand_def(TensorType)
    on_false = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, condition: Value, on_true: Value, on_false: Value) -> None:
        self._setup([condition, on_true, on_false])


ELEMENTWISE_OPS: tuple[type[NNOp], ...] = (
    ReluOp, NegOp, AbsOp, ExpOp, LogOp, SqrtOp, RsqrtOp, ReciprocalOp, SigmoidOp, TanhOp, ErfOp, FloorOp,
    CeilOp, RoundOp, SignOp, SinOp, CosOp, AtanOp, SoftplusOp, HardSwishOp, NotOp, IsNanOp, LeakyReluOp,
    EluOp, CeluOp, SeluOp, HardSigmoidOp, ClipOp, GeluOp, CastOp, AddOp, SubOp, MulOp, DivOp, MaxOp, MinOp,
    PowOp, ModOp, PreluOp, EqualOp, LessOp, LessEqualOp, GreaterOp, GreaterEqualOp, AndOp, OrOp, XorOp,
    BitAndOp, BitOrOp, BitXorOp, BitNotOp, WhereOp,
)  # fmt: skip
"""All ops of this file."""
