"""The table of ONNX operators: (domain, operator, since version) → handler.

A handler is a small function from a `Node` to its output `Value`s. It is registered under the first opset
version whose meaning it implements; the newest one not above the model's opset is used. Families live in
`onnx_ops_*.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from .onnx_node import Node, Value

Handler: TypeAlias = Callable[[Node], Value | Sequence[Value]]

HANDLERS: dict[tuple[str, str, int], Handler] = {}
"""Filled by the family modules."""

FAMILIES = (
    "elementwise",
    "functions",
    "windows",
    "products",
    "norms",
    "reductions",
    "shapes",
    "moves",
    "resize",
    "bits",
    "cpu",
    "strings",
    "selection",
    "control",
    "recurrent",
    "quantized",
    "contraction",
    "sampling",
    "transforms",
    "sequences",
    "running",
    "detection",
    "unpooling",
    "constants",
    "composed",
    "microsoft",
    "microsoft_attention",
    "microsoft_heads",
    "microsoft_weights",
    "legacy",
)


def onnx_op(*names: str, since: int = 1, domain: str = "") -> Callable[[Handler], Handler]:
    """Registers a handler for operators from an opset version on."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[domain, name, since] = handler
        return handler

    return register


@lru_cache(maxsize=1)
def _load() -> None:
    for family in FAMILIES:
        importlib.import_module(f".onnx_ops_{family}", __package__)


def supported_ops() -> list[tuple[str, str, int]]:
    """All (domain, operator, since version) with a handler, sorted."""
    _load()
    return sorted(HANDLERS)


@lru_cache(maxsize=1024)
def find_handler(domain: str, op_type: str, opset: int) -> Handler | None:
    """The handler for an operator as of an opset version."""
    _load()
    versions = [since for dom, name, since in HANDLERS if (dom, name) == (domain, op_type) and since <= opset]
    return HANDLERS[domain, op_type, max(versions)] if versions else None
