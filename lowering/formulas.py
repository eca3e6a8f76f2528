"""Elementary functions as formulas of the vector unit's primitives: sums, products, e^x, logarithm, root, bounds.

A formula is written once, on `Term`s. A term stands for a value wherever formulas are needed: an f32 node of the
vector generator's program (`vector_expand`) or an f32 value while a model is imported (`onnx_ops_functions`).
There are no branches; a case distinction is a bound (`least`, `most`) or a product with 0 or 1.

What a formula has to mind: near a zero of the function the *relative* error counts, so e^x - 1, log(1 + y) and sin
near its zeros have formulas of their own; large arguments must not overflow in between. The bounds that come out
are in `docs/accuracy.md`, measured by `benchmarks/accuracy.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import factorial, frexp, pi, sqrt
from typing import Final


class Term(ABC):
    """An f32 value; all operations round once."""

    @abstractmethod
    def plus(self, other: Term | float) -> Term: ...
    @abstractmethod
    def minus(self, other: Term | float) -> Term: ...
    @abstractmethod
    def times(self, other: Term | float) -> Term: ...
    @abstractmethod
    def over(self, other: Term) -> Term: ...
    @abstractmethod
    def least(self, bound: float) -> Term:
        """max(self, bound)"""

    @abstractmethod
    def most(self, bound: float) -> Term:
        """min(self, bound)"""

    @abstractmethod
    def exp(self) -> Term: ...
    @abstractmethod
    def log(self) -> Term: ...
    @abstractmethod
    def sqrt(self) -> Term: ...
    @abstractmethod
    def size(self) -> Term:
        """|self|"""

    @abstractmethod
    def sign(self) -> Term:
        """-1, 0 or 1"""

    @abstractmethod
    def number(self, value: float) -> Term:
        """A constant."""

    def sin(self) -> Term:
        return _sine(self, 0.0)

    def cos(self) -> Term:
        return _sine(self, 0.5)

    def atan(self) -> Term:
        return _arc_tangent(self)

    def __add__(self, other: Term | float) -> Term:
        return self.plus(other)

    def __sub__(self, other: Term | float) -> Term:
        return self.minus(other)

    def __mul__(self, other: Term | float) -> Term:
        return self.times(other)

    def __truediv__(self, other: Term) -> Term:
        return self.over(other)

    def __rtruediv__(self, other: float) -> Term:
        return self.number(other).over(self)

    def __rsub__(self, other: float) -> Term:
        return self.times(-1.0).plus(other)

    def __neg__(self) -> Term:
        return self.times(-1.0)

    __radd__ = __add__
    __rmul__ = __mul__


def polynomial(x: Term, coefficients: Sequence[float]) -> Term:
    """c0 + c1·x + …, lowest first, by Horner's rule."""
    *lower, highest = coefficients
    total = x * highest + lower[-1]
    for c in reversed(lower[:-1]):
        total = total * x + c
    return total


# ------------------------------------------------------------------------------- exponential and logarithm
NEAR: Final = 11 / 32
"""Up to here e^x - 1 is a polynomial. A number of few bits: x - NEAR is not rounded."""
EXPM1: Final = [1 / factorial(k + 1) for k in range(7)]
"""(e^t - 1) / t; what is left out is below t^7 / 8! < 2^-25."""


def expm1(x: Term) -> Term:
    """e^x - 1 with a small relative error near 0: e^x = e^t · e^(x - t), t = x as far as it lies in ±NEAR."""
    t = x.least(-NEAR).most(NEAR)
    rest = (x - t).exp()
    return t * polynomial(t, EXPM1) * rest + (rest - 1.0)


WHOLE: Final = float(2**24)
"""From here on f32 has whole numbers only."""


def log1p(y: Term) -> Term:
    """log(1 + y) for y ≥ 0: the logarithm of the rounded sum, and what the sum lost over the sum."""
    total, part = y + 1.0, y.most(WHOLE)
    lost = part - ((part + 1.0) - 1.0)
    return total.log() + lost / total


def softplus(x: Term) -> Term:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)"""
    return x.least(0.0) + log1p((-x.size()).exp())


def elu(x: Term, alpha: float, rate: float) -> Term:
    """max(x, 0) + alpha · (e^(rate · min(x, 0)) - 1)"""
    return x.least(0.0) + expm1(x.most(0.0) * rate) * alpha


# --------------------------------------------------------------------------------------- hyperbolic functions
def tanh(x: Term) -> Term:
    e = expm1(x.size() * -2.0)
    return -e / (e + 2.0) * x.sign()


def sinh(x: Term) -> Term:
    e = expm1(x.size())
    part = e.most(WHOLE)
    return (e + part / (part + 1.0)) * x.sign() * 0.5


def cosh(x: Term) -> Term:
    e = x.size().exp()
    return (e + 1.0 / e) * 0.5


def asinh(x: Term) -> Term:
    """sign · log(1 + a + a²/(1 + √(1 + a²))), a = |x|; the root is taken of a sum of squares below 2."""
    a = x.size()
    larger = a.least(1.0)
    inverse = 1.0 / larger
    ratio = a * inverse
    root = larger * (inverse * inverse + ratio * ratio).sqrt()
    return log1p(a + a * (a / (root + 1.0))) * x.sign()


def acosh(x: Term) -> Term:
    """log(1 + t + √t·√(t + 2)), t = x - 1"""
    t = x - 1.0
    return log1p(t + t.sqrt() * (t + 2.0).sqrt())


def atanh(x: Term) -> Term:
    """sign · log(1 + 2a/(1 - a)) / 2, a = |x|"""
    a = x.size()
    return log1p(a * 2.0 / (1.0 - a)) * x.sign() * 0.5


# ------------------------------------------------------------------------------------------ circular functions
TO_WHOLE: Final = 1.5 * 2.0**23
"""x + TO_WHOLE - TO_WHOLE is x rounded to a whole number, for |x| < 2^22."""


def _pieces(value: float, bits: int, count: int) -> tuple[float, ...]:
    """A number as a sum of `count` numbers of few bits, whose products with whole numbers are exact, and the rest."""
    found: list[float] = []
    for _ in range(count):
        mantissa, exponent = frexp(value)
        piece = int(mantissa * 2**bits) / 2**bits * 2.0**exponent
        found.append(piece)
        value -= piece
    return (*found, value)


PI_PIECES: Final = _pieces(pi, 8, 4)
SINE: Final = [(-1.0) ** k / factorial(2 * k + 1) for k in range(7)]
"""sin(r) / r in r²; what is left out is below 10^-9 on ±π/2."""


def _sine(x: Term, shift: float) -> Term:
    """sin(x + shift·π), shift 0 or 1/2: x less m half turns, m + shift whole, in pieces of π so that nothing is lost; then an
    odd polynomial on ±π/2, with the sign of odd half turns."""
    k = (x * (1 / pi) + shift + TO_WHOLE) - TO_WHOLE
    m = k - shift
    r = x
    for piece in PI_PIECES:
        r = r - m * piece
    r = r.least(-2.0).most(2.0)  # beyond the domain: no answer, but a sine
    half = k * 0.5
    odd = half - ((half + TO_WHOLE) - TO_WHOLE)  # 0, 1/2 or -1/2
    return r * polynomial(r * r, SINE) * (odd * odd * -8.0 + 1.0)


def tan(x: Term) -> Term:
    return x.sin() / x.cos()


ARCTAN: Final = (0.999999998, -0.333332836, 0.19998266, -0.142619325, 0.109420274, -0.0837730504, 0.0575519101,
                 -0.0308043923, 0.0107268269, -0.00175390238)  # fmt: skip
"""atan(t) / t in t², |t| ≤ 1: fitted to a relative error of 2.4e-9."""


def _arc_tangent(x: Term) -> Term:
    """t = min(|x|, 1) / max(|x|, 1); beyond 1 the angle is π/2 - atan(t)."""
    a = x.size()
    t = a.most(1.0) / a.least(1.0)
    angle = t * polynomial(t * t, ARCTAN)
    is_beyond = (a - 1.0).least(0.0).sign()
    return (angle + is_beyond * (pi / 2 - 2.0 * angle)) * x.sign()


def asin(x: Term) -> Term:
    """2 atan(x / (1 + √((1 - x)(1 + x))))"""
    return (x / (((1.0 - x) * (1.0 + x)).sqrt() + 1.0)).atan() * 2.0


def acos(x: Term) -> Term:
    """y = 2 atan(√((1 - a)/(1 + a))), a = |x|; π - y where x is negative. Nothing is divided by 0."""
    a = x.size()
    y = ((1.0 - a) / (1.0 + a)).sqrt().atan() * 2.0
    is_negative = (-x).least(0.0).sign()
    return y + is_negative * (pi - 2.0 * y)


# -------------------------------------------------------------------------------------------- error function
ERF_END: Final = 4.0
"""From here on erf is 1 in f32."""
ERF_ABOVE: Final = (1.12837914, 0.193546353, 0.0531018948, 0.00388339444, 0.000284566231, 1.98676161e-06)
ERF_BELOW: Final = (1.0, 0.504858544, 0.115350514, 0.0152073513, 0.00118558195, 3.74199774e-05)
"""erf(x) / x in x², |x| ≤ 4, as a quotient: fitted to a relative error of 2.5e-8."""
ERFCX: Final = (0.0, 0.184779036, 0.185794368, 0.165636149, 0.205949737, -0.0503756749, 0.501358394, -0.560034907,
                0.627340726, -0.317123436, 0.0566756029)  # fmt: skip
"""e^(z²)·erfc(z) in t = 1/(1 + 0.3275911 z), z ≥ 0: fitted to a relative error of 4.1e-9."""


GELU_END: Final = 16.0
"""From here on a·erfc(a/√2) is 0 in f32."""


def erf(x: Term) -> Term:
    x = x.least(-ERF_END).most(ERF_END)
    square = x * x
    return x * (polynomial(square, ERF_ABOVE) / polynomial(square, ERF_BELOW))


def gelu(x: Term) -> Term:
    """x·Φ(x) = max(x, 0) - a·erfc(a/√2)/2, a = |x|: exact where the result is tiny.

    e^(-a²/2) in two factors: h is a with 12 bits, so that h² is exact and the rest small.
    """
    a = x.size().most(GELU_END)
    t = 1.0 / (a * (0.3275911 * sqrt(0.5)) + 1.0)
    c = a * 4097.0
    h = c - (c - a)
    tail = (h * h * -0.5).exp() * ((a - h) * (a + h) * -0.5).exp()
    return x.least(0.0) - a * tail * polynomial(t, ERFCX) * 0.5


# ------------------------------------------------------------------------------------------------- activations
def sigmoid(x: Term) -> Term:
    return 1.0 / ((-x).exp() + 1.0)


def swish(x: Term, alpha: float) -> Term:
    return x * sigmoid(x * alpha)


def mish(x: Term) -> Term:
    """x·tanh(log(1 + e^x)) = x·w/(w + 2), w = e^x (e^x + 2)"""
    e = x.most(20.0).exp()  # beyond, the factor is 1
    w = e * (e + 2.0)
    return x * (w / (w + 2.0))


def softsign(x: Term) -> Term:
    return x / (x.size() + 1.0)
