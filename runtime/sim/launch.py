"""Runs the values of a launch whose streams run together: mixed kernels, kernels that synchronise cores.

Every stream has a simulated core of its own; those of a block that has ended serve the next block.  Effects apply in
dispatch order in each stream, and streams take turns where they wait for a flag (`streams.run_together`): one legal
order of many, which the hazard check must prove to stand for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..soc import Soc
from .cross import Port
from .executors import FunctionKernel
from .fault import SimulatorFault
from .memory import Core, GlobalMemory
from .streams import CrossFlags, Stream, Waiting, blocks_at_once, run_together, streams_of


def run_launch(
    kernel: FunctionKernel,
    soc: Soc,
    gm: GlobalMemory,
    args: Sequence[int],
    blocks: int,
    *,
    name: str,
    fuel: int,
) -> None:
    """All blocks of a launch; `args` are signed words."""
    streams = streams_of(soc, kernel.program, blocks)
    flags: CrossFlags[bool] = CrossFlags(streams, all)
    idle: dict[tuple[str, int], list[Core]] = {}
    words = tuple(args)

    def start(stream: Stream) -> Iterator[Waiting]:
        place = (stream.core, stream.sub)
        spare = idle.setdefault(place, [])
        core = spare.pop() if spare else Core(stream.soc, gm)
        core.cross = Port(flags, stream)
        part = kernel if stream.program is kernel.program else kernel.partner
        assert part is not None
        try:
            running = part.run(core, words, stream.block, blocks, fuel, stream.sub)
            if stream.program.yields:
                yield from running  # pyright: ignore[reportGeneralTypeIssues]: a generator exactly then
        except SimulatorFault as fault:
            raise fault.placed(name, stream.block, stream.name) from None
        core.cross = None
        spare.append(core)

    try:
        run_together(flags, start, blocks_at_once(soc, kernel.program))
    except SimulatorFault as fault:
        raise fault.placed(name, fault.block or 0, fault.core) from None
