"""Where an op came from (D18): the names of the model's nodes, in `op.location`.

The importer writes them, fused ops carry several, and `KEEP_LOCATION` hands them on when a pattern replaces
an op; xDSL's rewriter alone would drop them at the first rewrite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects.builtin import ArrayAttr, FusedLoc, NameLoc, NoneAttr, StringAttr, UnknownLoc
from xdsl.ir import Attribute, Operation, OpResult, SSAValue
from xdsl.pattern_rewriter import PatternRewriterListener
from xdsl.utils.hints import isa


def location_of(names: Iterable[str]) -> NameLoc | FusedLoc | UnknownLoc:
    """The location that holds these node names, each once, in order."""
    parts: list[Attribute] = [NameLoc(StringAttr(name), NoneAttr()) for name in dict.fromkeys(names)]
    if not parts:
        return UnknownLoc()
    first = parts[0]
    if len(parts) == 1 and isinstance(first, NameLoc):
        return first
    return FusedLoc(ArrayAttr(parts), NoneAttr())


def node_names(op: Operation) -> list[str]:
    """The model's nodes that this op stands for."""
    return _names(op.location)


def _names(location: Attribute) -> list[str]:
    if isinstance(location, NameLoc):
        return [location.desc.data]
    if isinstance(location, FusedLoc) and isa(location.locations, ArrayAttr[Attribute]):
        return list(dict.fromkeys(name for part in location.locations for name in _names(part)))
    return []


def fuse_locations(ops: Iterable[Operation]) -> NameLoc | FusedLoc | UnknownLoc:
    """One location for an op that replaces several."""
    return location_of(name for op in ops for name in node_names(op))


def keep_location(op: Operation, new_results: Sequence[SSAValue | None]) -> None:
    """Gives what replaces `op` its location, where it has none of its own."""
    for value in new_results:
        if isinstance(value, OpResult) and isinstance(value.owner.location, UnknownLoc):
            value.owner.location = op.location


KEEP_LOCATION = PatternRewriterListener(operation_replacement_handler=[keep_location])
"""The listener that every `PatternRewriteWalker` of this project gets."""
