"""Cross-core flags where values are computed: what a core knows of its launch, and the two instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State, pipe_reason
from .streams import CrossFlags, Stream, Waiting

if TYPE_CHECKING:
    from .memory import Core


class Port(NamedTuple):
    """What a core needs to take part in cross-core flags: the launch's counters, and which stream it runs."""

    flags: CrossFlags[bool]
    stream: Stream


def make_cross(record: Decoded, soc: Soc) -> Executor:
    """ffts_cross_core_sync, and wait_flag_dev: whether the wait is over, which takes one off the counter."""
    rules = Rules(record, soc)
    sets = record.mnemonic == "ffts_cross_core_sync"
    limit = soc.core.cross_core_flags

    def sync(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> Waiting | None:
        rules.check_fields(fields)
        if sets and (reason := pipe_reason(record, fields[0], soc)):
            rules.fault("pipe", reason)
        flag = fields[-1]
        if flag >= limit:
            rules.fault("flag", f"{flag}: {soc.name} has {limit} flags between cores for programs")
        port = core.cross
        assert port is not None  # such programs run by `run_launch` only
        if sets:
            port.flags.set(port.stream, record, fields[1], flag, True)
            return None
        return None if port.flags.take(port.stream.number, flag) else Waiting(record, flag)

    return sync
