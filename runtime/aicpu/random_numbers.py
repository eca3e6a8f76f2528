"""Random numbers: the chip has no generator an AI Core kernel could use. Each call draws from its own seed, so
that a run can be repeated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .definition import TensorSpec
from .kernel import Array, CpuKernel, Settings, integer, kind_of


def _numbers(settings: Settings) -> tuple[float, float]:
    """The two parameters of a distribution."""
    value = settings.get("numbers", ())
    first, second = (float(item) for item in value) if isinstance(value, tuple) else (0.0, 1.0)
    return first, second


def _generator(settings: Settings) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(integer(settings, "seed")))


def _uniform(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    low, high = _numbers(settings)
    return [_generator(settings).uniform(low, high, outputs[0].shape).astype(kind_of(outputs[0]))]


def _normal(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    mean, scale = _numbers(settings)
    return [_generator(settings).normal(mean, scale, outputs[0].shape).astype(kind_of(outputs[0]))]


def _multinomial(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """Positions drawn with the probabilities whose logarithms the rows are."""
    logits = operands[0].astype(np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    bounds = np.cumsum(weights, axis=1)
    draws = _generator(settings).random(outputs[0].shape) * bounds[:, -1:]
    found = (draws[:, :, None] >= bounds[:, None, :]).sum(axis=2)
    return [np.minimum(found, logits.shape[1] - 1).astype(kind_of(outputs[0]))]


KERNELS = {
    "RandomUniform": CpuKernel(_uniform, 10),
    "RandomNormal": CpuKernel(_normal, 40),
    "Multinomial": CpuKernel(_multinomial, 20),
}
