"""Runs a launch whose cores work together in a random order that its flags and barriers allow.

As `order.py`, with one graph for all streams: a cross-core set stands behind all earlier work of its pipe, a wait
behind the sets that complete its flag, and everything that its core dispatches later behind the wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..soc import Soc
from .checks import Executor
from .fault import SimulatorFault
from .memory import Core, GlobalMemory
from .order import Node, Operands, OrderRun, Pool, order_function
from .program import Program
from .streams import CrossFlags, Stream, Waiting, blocks_at_once, run_together, streams_of
from .translate import DEFAULT_FUEL, wrap

_SCALAR = 0


def _all_nodes(parts: Sequence[tuple[Node, ...]]) -> tuple[Node, ...]:
    return tuple(node for part in parts for node in part)


class _StreamRun(OrderRun):
    """One stream: faults say on which core they happen."""

    def __init__(
        self, stream: Stream, core: Core, pool: Pool, flags: CrossFlags[tuple[Node, ...]], name: str
    ) -> None:
        operands = Operands(stream.soc, stream.program)
        super().__init__(operands, stream.program, core, pool, stream.number)
        self.stream = stream
        self.cross_flags = flags
        self.name = name

    def work(self, number: int, key: tuple[Any, ...], executor: Executor, *operands: Any) -> None:
        super().work(number, key, self._placed(executor), *operands)

    def load(self, number: int, key: tuple[Any, ...], executor: Executor, *operands: Any) -> int:
        return super().load(number, key, self._placed(executor), *operands)

    def _placed(self, executor: Executor) -> Callable[..., Any]:
        def run(*operands: Any) -> Any:
            try:
                return executor(*operands)
            except SimulatorFault as fault:
                raise fault.placed(self.name, self.stream.block, self.stream.name) from None

        return run

    def cross_set(self, number: int, pipe: int, mode: int, flag: int) -> None:
        self.cross_flags.set(self.stream, self.records[number], mode, flag, (self.behind_pipe(pipe),))

    def cross_wait(self, number: int, flag: int) -> Waiting | None:
        nodes = self.cross_flags.take(self.stream.number, flag)
        if nodes is None:
            return Waiting(self.records[number], flag)
        self.hold(_SCALAR, nodes)
        return None


def run_launch_random(
    program: Program,
    soc: Soc,
    gm: GlobalMemory,
    args: Sequence[int],
    blocks: int,
    *,
    name: str,
    rng: random.Random,
) -> None:
    """All blocks of a launch, in an order that `rng` draws."""
    streams = streams_of(soc, program, blocks)
    flags: CrossFlags[tuple[Node, ...]] = CrossFlags(streams, _all_nodes)
    pool = Pool(random.Random(rng.getrandbits(64)), len(streams))
    functions = {part.core: order_function(part, soc.seen_by(part.core)) for part in program.parts}
    words = tuple(wrap(arg) for arg in args)

    def start(stream: Stream) -> Iterator[Waiting]:
        run = _StreamRun(stream, Core(stream.soc, gm), pool, flags, name)
        dispatch = functions[stream.core](run, words, stream.block, blocks, DEFAULT_FUEL, stream.sub)
        if stream.program.yields:
            yield from dispatch

    try:
        run_together(flags, start, blocks_at_once(soc, program))
        pool.finish()
    except SimulatorFault as fault:
        raise fault.placed(name, fault.block or 0, fault.core) from None
