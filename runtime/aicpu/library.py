"""The kernels of the AI CPU by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import arithmetic, conversion, images, random_numbers, selection, strings
from .kernel import CpuKernel

KERNELS: Final[Mapping[str, CpuKernel]] = {
    **arithmetic.KERNELS,
    **conversion.KERNELS,
    **selection.KERNELS,
    **random_numbers.KERNELS,
    **strings.KERNELS,
    **images.KERNELS,
}
"""Every kernel that a task may name."""
