"""Pass attach-target."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from ..runtime.soc import compile_target


@dataclass(frozen=True)
class AttachTargetPass(ModulePass):
    """Names the chip that a module is compiled for; later passes read its SoC file.

    before  builtin.module { … }
    after   builtin.module attributes {ascend.target = "Ascend310P3"} { … }
    """

    name = "attach-target"

    soc: str = "Ascend310P3"
    """SoC name as `--soc_version` takes it."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["ascend.target"] = StringAttr(compile_target(self.soc).name)
