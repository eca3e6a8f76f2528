"""What this package adds to xDSL: dialects, passes and text targets, as factories that import nothing until
they are called.

xDSL's tools find it by the entry point group `xdsl.universe`, so a plain `xdsl-opt` knows our dialects too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import cast

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe

from .. import dialects, passes

_ROOT = __name__.rpartition(".tools.")[0]


def _load(package: str, module: str, attribute: str) -> object:
    relative = module if module.startswith(".") else f".{module}"  # a lowering is "..lowering.nn_to_ascend"
    return getattr(import_module(relative, f"{_ROOT}.{package}"), attribute)


def load_dialect(name: str) -> Dialect:
    """The dialect of that name."""
    found = _load("dialects", *dialects.DIALECTS[name])
    return found if isinstance(found, Dialect) else cast(Callable[[], Dialect], found)()


def load_pass(name: str) -> type[ModulePass]:
    """The pass of that name."""
    return cast(type[ModulePass], _load("passes", *passes.PASSES[name]))


ASCEND_UNIVERSE = Universe(
    all_dialects={name: partial(load_dialect, name) for name in dialects.DIALECTS},
    all_passes={name: partial(load_pass, name) for name in passes.PASSES},
)
