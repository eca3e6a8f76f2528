"""Blocks of a task, or checks of kernels, in several processes.

Blocks of one launch never communicate (decision D6), so forked processes that share device memory may run
them side by side; threads would not help, Python runs one at a time. Workers are forked once, after the
model is loaded: kernels and weights are theirs by copy-on-write, the feature map is shared memory. A
command is three integers on a pipe, the answer one byte. A worker that fails says only that: the caller
runs its blocks again itself and meets the same fault with all its details.

Checks of kernels are independent, too (`passed`); their processes live only as long as they check.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import struct
import weakref
from collections.abc import Callable

import numpy as np

from .floats import Array

_COMMAND = struct.Struct("<iii")
_NUMBER = struct.Struct("<i")
_DONE, _FAILED = b"\0", b"\1"
_END = -1  # the number of no task

Work = Callable[[int, range], None]
"""Runs blocks of the task of that number."""


def shared_bytes(size: int) -> Array:
    """Zeroed memory that forked processes share."""
    return np.frombuffer(mmap.mmap(-1, max(size, 1)), np.uint8)


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Whether this system has fork()."""
    return hasattr(os, "fork")


class BlockPool:
    """`count` forked processes, each waiting for blocks to run."""

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._ends: list[tuple[int, int]] = []  # (commands to a worker, answers from it)
        pids: list[int] = []
        for _ in range(count):
            pids.append(self._fork())
        self._finalizer = weakref.finalize(self, _stop, self._ends, pids)

    def _fork(self) -> int:
        command_read, command_write = os.pipe()
        answer_read, answer_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            for pair in self._ends:
                for fd in pair:
                    os.close(fd)
            os.close(command_write)
            os.close(answer_read)
            _serve(self._work, command_read, answer_write)
        os.close(command_read)
        os.close(answer_write)
        self._ends.append((command_write, answer_read))
        return pid

    def run(self, task: int, blocks: int) -> None:
        """All blocks of a task, spread over the workers and this process."""
        parts = len(self._ends) + 1
        cuts = [blocks * part // parts for part in range(parts + 1)]
        asked: list[tuple[int, range]] = []
        for part, (command, answer) in enumerate(self._ends, 1):
            if cuts[part] < cuts[part + 1]:
                os.write(command, _COMMAND.pack(task, cuts[part], cuts[part + 1]))
                asked.append((answer, range(cuts[part], cuts[part + 1])))
        try:
            self._work(task, range(cuts[0], cuts[1]))
        finally:
            failed = [part for answer, part in asked if os.read(answer, 1) != _DONE]
        for part in failed:
            self._work(task, part)

    def close(self) -> None:
        """Ends the workers."""
        self._finalizer()


def passed(count: int, passes: Callable[[int], bool], processes: int) -> set[int]:
    """Which of the independent checks 0 … count - 1 pass, found out by several processes, this one among them.

    Process p does every `processes`-th check from number p on.  What raises or dies counts as not passed: whoever wants
    to know more repeats that check.
    """
    read, write = os.pipe()
    pids: list[int] = []
    for part in range(1, processes):
        pid = os.fork()
        if pid == 0:
            gc.freeze()
            with contextlib.suppress(BaseException):
                for number in range(part, count, processes):
                    if passes(number):
                        os.write(write, _NUMBER.pack(number))
            os._exit(0)
        pids.append(pid)
    os.close(write)
    found: set[int] = set()
    for number in range(0, count, processes):
        with contextlib.suppress(Exception):
            if passes(number):
                found.add(number)
    with os.fdopen(read, "rb") as stream:
        found.update(
            number for (number,) in _NUMBER.iter_unpack(stream.read())
        )  # until the last one has ended
    for pid in pids:
        os.waitpid(pid, 0)
    return found


def _serve(work: Work, commands: int, answers: int) -> None:
    """The life of a worker; never returns."""
    gc.freeze()  # objects of the parent are not to be looked at: that would copy their pages
    status = 1
    with contextlib.suppress(BaseException):
        while len(data := os.read(commands, _COMMAND.size)) == _COMMAND.size:
            task, first, end = _COMMAND.unpack(data)
            if task == _END:
                break
            answer = _DONE
            try:
                work(task, range(first, end))
            except BaseException:
                answer = _FAILED
            os.write(answers, answer)
        status = 0
    os._exit(status)


def _stop(ends: list[tuple[int, int]], pids: list[int]) -> None:
    """Ends workers by a command: closing the pipe is not enough, workers that were forked later hold its end, too."""
    for command, answer in ends:
        with contextlib.suppress(OSError):  # it is dead already
            os.write(command, _COMMAND.pack(_END, 0, 0))
        os.close(command)
        os.close(answer)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
