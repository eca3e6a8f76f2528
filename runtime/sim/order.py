"""Runs a kernel in a random order that its flags and barriers allow (`--order=random --seed N`).

The simulator normally applies effects in program order; the hazard check claims that this is enough.  Here
the claim is put to the test without vector clocks: instructions become nodes of a graph whose edges are
only what the machine guarantees, and a random one of those that may run is run, data moved at once.  A
kernel without races gives the same bytes for every seed.

Edges: a set_flag stands behind all earlier work of its pipe; a wait_flag behind its set, and everything
later in its pipe behind the wait; a barrier both ways; the scalar unit's own waits and loads hold back all
later dispatch.  Inside a pipe there is no other order, except for what D7 gives for free: an instruction
reads before a later one of its pipe writes, mads of many fractals accumulate in order, and CMPMASK is a
register of the vector pipe.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..isa.model import PIPES, barrier_pipes
from ..isa.record import Decoded
from ..soc import Soc
from .access import Access, accumulate_freely, statics_of
from .byte_sets import overlap
from .checks import Executor, Ints
from .device import run_blocks
from .executors import FunctionKernel, executor_name, executors_of, function_kernel
from .fault import SimulatorFault
from .memory import Core, GlobalMemory, Region
from .program import Program, load_program
from .translate import Translator, operands_text, tuple_text, value_text

_MOST_OPEN = 4000  # instructions dispatched and not yet run; the machine's queues hold fewer
_MOST_KNOWN = 200_000
_SCALAR = PIPES.index("S")
_VECTOR = PIPES.index("V")


class Node:
    """An instruction that has been dispatched: how many others it waits for, who waits for it, what it
    does.  `lane` is its pipe, counted over all streams of a launch."""

    __slots__ = ("access", "call", "done", "followers", "lane", "pipe", "waiting")

    def __init__(self, pipe: int, lane: int, call: Callable[[], Any] | None, access: Access | None) -> None:
        self.pipe = pipe
        self.lane = lane
        self.call = call
        self.access = access
        self.waiting = 0
        self.done = False
        self.followers: list[Node] = []


class Pool:
    """What may run next: shared by the streams of a launch, or of one block alone."""

    def __init__(self, rng: random.Random, streams: int = 1) -> None:
        self.rng = rng
        self.ready: list[Node] = []
        self.open = 0
        self.favour = [rng.random() for _ in range(streams * len(PIPES))]

    def step(self) -> None:
        """Run one of the instructions that may run."""
        ready, rng = self.ready, self.rng
        if not ready:
            raise SimulatorFault(None, "", "deadlock: nothing that was dispatched can run")
        place = rng.randrange(len(ready))
        other = rng.randrange(len(ready))
        if self.favour[ready[other].lane] > self.favour[ready[place].lane]:
            place = other  # let some pipes run ahead of others, and change which ones now and then
        if rng.random() < 0.01:
            self.favour[rng.randrange(len(self.favour))] = rng.random()
        node = ready[place]
        ready[place] = ready[-1]
        ready.pop()
        if node.call is not None:
            node.call()
        node.done = True
        self.open -= 1
        for follower in node.followers:
            follower.waiting -= 1
            if follower.waiting == 0:
                ready.append(follower)
        node.followers = []

    def finish(self) -> None:
        """Run all that is left."""
        while self.open:
            self.step()


class Operands:
    """Instructions of a program with concrete operands, and which of them a pipe keeps in order by itself.

    Every run of a kernel asks the same again: answers are kept, up to `_MOST_KNOWN` of them.
    """

    def __init__(self, soc: Soc, program: Program) -> None:
        self._statics = statics_of(program)
        self._overlap_fractals = soc.core.mad_overlap_fractals
        self._accesses: dict[tuple[int, tuple[Any, ...]], Access] = {}
        self._in_order: dict[tuple[Access, Access], bool] = {}

    def access(self, number: int, key: tuple[Any, ...]) -> Access:
        """Instruction `number` with the operands `key` (`Static.key_text`)."""
        known = self._accesses.get((number, key))
        if known is None:
            if len(self._accesses) > _MOST_KNOWN:
                self._accesses.clear()
            known = self._accesses[number, key] = self._statics[number].access(key)
        return known

    def in_order(self, earlier: Access, later: Access) -> bool:
        """Whether two instructions of one pipe need no barrier: the first reads what the second writes."""
        known = self._in_order.get((earlier, later))
        if known is None:
            if len(self._in_order) > _MOST_KNOWN:
                self._in_order.clear()
            known = self._in_order[earlier, later] = self._reads_what_is_written(earlier, later)
        return known

    def _reads_what_is_written(self, earlier: Access, later: Access) -> bool:
        rows = earlier.static.record.row.addresses, later.static.record.row.addresses
        for i in earlier.static.chip:
            for j in later.static.chip:
                ordered = rows[0][i].reads or accumulate_freely(earlier, later, self._overlap_fractals)
                if not ordered or not rows[1][j].writes or earlier.spaces[i] != later.spaces[j]:
                    continue
                if overlap(earlier.prints[i], earlier.at[i], later.prints[j], later.at[j]) is not None:
                    return True
        return False


class OrderRun:
    """One block, or one stream of a launch: number `stream` of those that share the pool."""

    def __init__(self, operands: Operands, program: Program, core: Core, pool: Pool, stream: int = 0) -> None:
        self.operands = operands
        self.core = core
        self.pool = pool
        self.first_lane = stream * len(PIPES)
        self.records = program.records
        # Per pipe: its work since the last set or barrier (which stands behind all of it), and what it
        # waits for.
        self.recent: list[list[Node]] = [[] for _ in PIPES]
        self.gate: list[Node | None] = [None] * len(PIPES)
        self.flags: dict[tuple[int, int, int], list[Node]] = {}
        self.registers: dict[str, Node] = {}  # last user of each register of the vector unit

    # -- the graph
    # ------------------------------------------------------------------------------------------------

    def _add(self, node: Node, behind: Iterable[Node | None]) -> Node:
        for other in behind:
            if other is not None and not other.done:
                other.followers.append(node)
                node.waiting += 1
        self.pool.open += 1
        if node.waiting == 0:
            self.pool.ready.append(node)
        while self.pool.open > _MOST_OPEN:
            self.pool.step()
        return node

    def _node(self, pipe: int, call: Callable[[], Any] | None = None, access: Access | None = None) -> Node:
        return Node(pipe, self.first_lane + pipe, call, access)

    def work(self, number: int, key: tuple[Any, ...], executor: Executor, *operands: Any) -> None:
        """An instruction that moves or computes."""
        record, access = self.records[number], self.operands.access(number, key)
        pipe = access.pipe
        core = self.core
        node = self._node(pipe, lambda: executor(core, *operands), access)
        behind: list[Node | None] = [self.gate[pipe], *self._free_order(node)]
        for name in {*record.row.reads, *record.row.writes} if node.pipe == _VECTOR else ():
            behind.append(self.registers.get(name))
            self.registers[name] = node
        self.recent[pipe].append(node)
        self._add(node, behind)

    def _free_order(self, node: Node) -> Iterable[Node]:
        """Earlier work of the same pipe that is in order without a barrier."""
        access = node.access
        assert access is not None
        for other in self.recent[node.pipe]:
            if other.done or other.access is None:
                continue
            if node.pipe == _SCALAR or self.operands.in_order(other.access, access):
                yield other

    def load(self, number: int, key: tuple[Any, ...], executor: Executor, *operands: Any) -> int:
        """A scalar load: the scalar unit needs its value before it goes on."""
        value: list[int] = []
        core = self.core
        access = self.operands.access(number, key)
        node = self._node(_SCALAR, lambda: value.append(executor(core, *operands)), access)
        self._add(node, [self.gate[_SCALAR], *self.recent[_SCALAR]])
        while not node.done:
            self.pool.step()
        return value[0]

    def set_flag(self, number: int, src: int, dst: int, event: int) -> None:
        self.flags.setdefault((src, dst, event), []).append(self.behind_pipe(src))

    def behind_pipe(self, pipe: int) -> Node:
        """A node that stands behind all earlier work of a pipe."""
        node = self._node(pipe)
        behind = [self.gate[pipe], *self.recent[pipe]]
        self.recent[pipe] = [node, *(other for other in self.recent[pipe] if not other.done)]
        return self._add(node, behind)

    def wait_flag(self, number: int, src: int, dst: int, event: int) -> None:
        pending = self.flags.get((src, dst, event))
        if not pending:
            raise SimulatorFault(self.records[number], "event", "no set of this flag stands before the wait")
        self.hold(dst, [pending.pop(0)])

    def hold(self, dst: int, behind: Sequence[Node]) -> None:
        """Everything later in pipe `dst` stands behind these; in pipe S, everything that is dispatched later."""
        node = self._node(dst)
        self._add(node, [*behind, self.gate[dst]])
        self.recent[dst].append(node)
        for pipe in range(len(PIPES)) if dst == _SCALAR else (dst,):
            self.gate[pipe] = node if pipe == dst else self._join(node, self.gate[pipe])

    def _join(self, a: Node, b: Node | None) -> Node:
        return self._add(self._node(_SCALAR), [a, b])

    def barrier(self, code: int) -> None:
        """A pipe_barrier with this code."""
        chosen = barrier_pipes(code)
        node = self._node(_SCALAR)
        self._add(node, [other for p in chosen for other in (self.gate[p], *self.recent[p])])
        for p in chosen:
            self.gate[p] = node
            self.recent[p] = [node]


def _emitter(program: Program) -> Callable[[Decoded], list[str]]:
    statics = statics_of(program)
    numbers = {record.address: number for number, record in enumerate(program.records)}

    def emit(record: Decoded) -> list[str]:
        number = numbers[record.address]
        fields = ", ".join(value_text(field) for field in record.fields)
        match record.mnemonic:
            case "set_flag" | "wait_flag":
                return [f"run.{record.mnemonic}({number}, {fields})"]
            case "pipe_barrier":
                return [f"run.barrier({fields})"]
            case "ffts_cross_core_sync":
                return [f"run.cross_set({number}, {fields})"]
            case "wait_flag_dev":
                return [f"while (held := run.cross_wait({number}, {fields})): yield held"]
            case _:
                key = tuple_text(statics[number].key_text())
                call = f"({number}, {key}, {executor_name(record)}, {operands_text(record)})"
                if record.row.loads:
                    return [f"{value_text(record.scalars[0])} = run.load{call}"]
                return [f"run.work{call}"]

    return emit


def random_kernel(image: bytes | Program, soc: Soc, seed: int) -> FunctionKernel:
    """The kernel as `function_kernel` gives it, but each of its runs takes another random order."""
    program = image if isinstance(image, Program) else load_program(image)
    own = soc.seen_by(program.core)
    function = order_function(program, own)
    rng = random.Random(seed)
    operands = Operands(own, program)

    def run(core: Core, args: Ints, block: int, blocks: int, fuel: int) -> int:
        pool = Pool(random.Random(rng.getrandbits(64)))
        left: int = function(OrderRun(operands, program, core, pool), args, block, blocks, fuel)
        pool.finish()
        return left

    return replace(function_kernel(program, soc), run=run)


def order_function(program: Program, soc: Soc) -> Callable[..., Any]:
    """The function that dispatches a program: (run, args, block_idx, block_num, fuel, sub_block_idx)."""
    translator = Translator(_emitter(program), parameters="run, args, block_idx, block_num, fuel")
    return translator.compile(program, dict(executors_of(program, soc)))


def run_kernel_random(
    soc: Soc,
    image: bytes | Program,
    gm: bytearray,
    args: Sequence[int],
    blocks: int = 1,
    *,
    seed: int = 0,
) -> None:
    """`device.run_kernel` in a random order, blocks included."""
    memory = GlobalMemory([Region(0, np.frombuffer(gm, np.uint8))])
    program = image if isinstance(image, Program) else load_program(image)
    if program.runs_together:
        from .order_cores import run_launch_random  # it imports this module

        with np.errstate(all="ignore"):
            run_launch_random(program, soc, memory, args, blocks, name="", rng=random.Random(seed))
        return
    kernel = random_kernel(program, soc, seed)
    core = Core(soc.seen_by(program.core), memory)
    order = list(range(blocks))
    random.Random(seed).shuffle(order)
    with np.errstate(all="ignore"):
        for block in order:
            run_blocks(kernel, core, args, range(block, block + 1), blocks)
