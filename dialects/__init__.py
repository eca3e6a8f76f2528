"""The dialects: name → where its `Dialect` is (module of this package, attribute). Nothing is imported before
it is used."""

from __future__ import annotations

from typing import Final

DIALECTS: Final[dict[str, tuple[str, str]]] = {
    "nn": ("nn", "NN"),
    "ascend": ("ascend", "Ascend"),
    "davinci": ("davinci", "DAVINCI"),
    "om": ("om", "OM"),
}
"""Several dialects of one module may stand side by side; a dialect has no state."""
