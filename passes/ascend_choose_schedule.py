"""Pass ascend-choose-schedule."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ..dialects import ascend
from ..runtime.soc import Soc


def choose(group: ascend.GroupOp, soc: Soc) -> ascend.ScheduleAttr:
    """The schedule that the group's generator would take by itself."""
    match group.engine_name:
        case ascend.Engine.CUBE:
            from ..lowering import cube_kernel

            return ascend.ScheduleAttr.of(cube_kernel.choose_schedule(group, soc))
        case ascend.Engine.VECTOR:
            from ..lowering import vector_kernel

            return ascend.ScheduleAttr.of(vector_kernel.choose_schedule(group, soc))
        case ascend.Engine.MOVE:
            from ..lowering import move_kernel

            return ascend.ScheduleAttr.of(move_kernel.choose_schedule(group, soc))
        case _:
            return group.schedule


@dataclass(frozen=True)
class AscendChooseSchedulePass(ModulePass):
    """Tiling: fills in the schedule of every group that has none, by the cost model of its generator.

    before  ascend.group "Conv" (…) engine cube schedule #ascend.schedule<> …
    after   ascend.group "Conv" (…) engine cube schedule #ascend.schedule<split_rows = 4, m = 7, n = 8, k = 8,
    …> …

    A schedule that is already there stays: a person or a tuner wrote it.
    """

    name = "ascend-choose-schedule"

    soc: str = ""
    """SoC to choose for; default: the module's target."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        from ..lowering.ascend_to_davinci import identity, target_of
        from ..lowering.refusals import Refusals

        soc = target_of(op, self.soc)
        known: dict[str, ascend.ScheduleAttr] = {}
        refusals = Refusals()
        for group in op.walk():
            if isinstance(group, ascend.GroupOp) and not group.schedule.data:
                key = identity(group, soc)
                if key not in known:
                    with refusals.around(group):
                        known[key] = choose(group, soc)
                group.schedule = known.get(key, group.schedule)
        refusals.raise_all()
