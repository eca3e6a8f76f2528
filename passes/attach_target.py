"""Pass attach-target."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr, UnitAttr, i64
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from ..runtime.errors import AscendError
from ..runtime.soc import Soc, compile_target

TARGET = "ascend.target"
CORES = "ascend.cores"
APART = "ascend.tensors_apart"
DEFAULT = "Ascend310P3"


def target_of(module: Operation, given: str = "") -> Soc:
    """The chip a module is compiled for, with the number of cores that its kernels may use: the option of a pass, else what
    the module says, else Ascend310P3."""
    named, limit = module.attributes.get(TARGET), module.attributes.get(CORES)
    soc = compile_target(given or (named.data if isinstance(named, StringAttr) else DEFAULT))
    return replace(soc, cores=limit.value.data) if isinstance(limit, IntegerAttr) else soc


@dataclass(frozen=True)
class AttachTargetPass(ModulePass):
    """Says what a module is compiled for: the chip, whose SoC file later passes read, how many of its cores kernels may use,
    and whether `plan-memory` may give the bytes of dead tensors to others.

    before  builtin.module { … }
    after   builtin.module attributes {ascend.target = "Ascend310P3"} { … }
    """

    name = "attach-target"

    soc: str = DEFAULT
    """SoC name as `--soc_version` takes it."""
    cores: int = 0
    """Cores that a kernel may use (`--aicore_num`); 0: all of the chip."""
    reuse_memory: bool = True
    """False: every tensor has bytes of its own (`--disable_reuse_memory=1`)."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        soc = compile_target(self.soc)
        if not 0 <= self.cores <= soc.cores:
            raise AscendError("E10001", f"{self.cores} cores of {soc.name}", expected=f"1 to {soc.cores}")
        op.attributes[TARGET] = StringAttr(soc.name)
        for name in (CORES, APART):
            op.attributes.pop(name, None)
        if self.cores and self.cores < soc.cores:
            op.attributes[CORES] = IntegerAttr(self.cores, i64)
        if not self.reuse_memory:
            op.attributes[APART] = UnitAttr()
