"""Pass check-supported."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ..runtime.errors import UnsupportedOpError
from .rewriting import main_block


@dataclass(frozen=True)
class CheckSupportedPass(ModulePass):
    """Refuse what no kernel generator computes, all of it at once, before anything is lowered.

    Runs when every group has its engine; changes nothing. What it asks is in `lowering/refusals.py`.
    """

    name = "check-supported"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        from ..lowering.refusals import unsupported_groups

        found = unsupported_groups(list(main_block(op).ops))
        if found:
            raise UnsupportedOpError(found)
