"""Pass ascend-choose-schedule."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ..dialects import ascend
from ..runtime.errors import AscendError
from ..runtime.soc import Soc
from .attach_target import target_of


def choose(group: ascend.GroupOp, soc: Soc) -> ascend.ScheduleAttr:
    """The schedule that the group's generator would take by itself."""
    match group.engine_name:
        case ascend.Engine.CUBE:
            from ..lowering import cube_tuning

            return ascend.ScheduleAttr.of(cube_tuning.choose_schedule(group, soc))
        case ascend.Engine.VECTOR:
            from ..lowering import vector_kernel

            return ascend.ScheduleAttr.of(vector_kernel.choose_schedule(group, soc))
        case ascend.Engine.ATTENTION:
            from ..lowering import attention_tuning

            return ascend.ScheduleAttr.of(attention_tuning.choose_schedule(group, soc))
        case ascend.Engine.RECURRENCE:
            from ..lowering import recurrence_kernel

            return ascend.ScheduleAttr.of(recurrence_kernel.choose_schedule(group, soc))
        case ascend.Engine.SORT:
            from ..lowering import sort_kernel

            return ascend.ScheduleAttr.of(sort_kernel.choose_schedule(group, soc))
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
        from ..lowering.ascend_to_davinci import identity
        from ..lowering.refusals import Refusals

        soc = target_of(op, self.soc)
        first: dict[str, ascend.GroupOp] = {}
        keys: dict[ascend.GroupOp, str] = {}
        for group in op.walk():
            if isinstance(group, ascend.GroupOp) and not group.schedule.data:
                keys[group] = identity(group, soc)
                first.setdefault(keys[group], group)
        known = _elsewhere(first, soc)
        refusals = Refusals()
        for key, group in first.items():
            if key not in known:
                with refusals.around(group):
                    known[key] = choose(group, soc)
        for group, key in keys.items():
            group.schedule = known.get(key, group.schedule)
        refusals.raise_all()


_WORTH_A_PROCESS = 6  # groups from which a second process pays


def _elsewhere(groups: Mapping[str, ascend.GroupOp], soc: Soc) -> dict[str, ascend.ScheduleAttr]:
    """Schedules of every second group, chosen by a forked process meanwhile; what it cannot choose is left to the caller.

    Choices do not depend on each other, so the result is the same with and without.
    """
    own, other = list(groups.items())[::2], list(groups.items())[1::2]
    if (
        len(groups) < _WORTH_A_PROCESS
        or (os.cpu_count() or 1) < 2
        or threading.active_count() > 1
        or not hasattr(os, "fork")
    ):
        return {}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(other, soc, writer)
    os.close(writer)
    known: dict[str, ascend.ScheduleAttr] = {}
    try:
        for key, group in own:
            with suppress(ValueError, AscendError):  # refused again, and reported, by the caller
                known[key] = choose(group, soc)
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read()
    finally:
        os.waitpid(child, 0)
    found: dict[str, dict[str, int | str]] = json.loads(text) if text else {}
    return known | {key: ascend.ScheduleAttr.of(values) for key, values in found.items()}


def _answer(groups: list[tuple[str, ascend.GroupOp]], soc: Soc, writer: int) -> NoReturn:
    """In the forked process: writes the schedules as JSON and ends without cleaning up what it shares with its parent."""
    found: dict[str, object] = {}
    try:
        for key, group in groups:
            with suppress(ValueError, AscendError):
                found[key] = choose(group, soc).values
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(found).encode())
    finally:
        os._exit(0)
