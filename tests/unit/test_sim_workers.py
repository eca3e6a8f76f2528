"""Several processes: independent checks, and the hazard check of a model."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from ascend_mlir.runtime import sanitizer
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.model import Address, OmKernel, OmModel, OmTask
from ascend_mlir.runtime.sim.device import Device
from ascend_mlir.runtime.sim.workers import BlockPool, can_fork, passed, shared_bytes
from ascend_mlir.runtime.soc import load_soc

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs fork")

FILL = """
.kernel args=1
arg r0, number=0
vector_dup.f16 ub[0], 0, repeat={repeat}
{flags}
copy_ubuf_to_gm gm[0+r0], ub[0], bursts=1, length=8
end
"""
FLAGS = "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0"


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_passed(processes: int) -> None:
    """Checks that say no, raise, or take their process with them have not passed; the others have."""
    home = os.getpid()

    def check(number: int) -> bool:
        if number == 4:
            raise ValueError(number)
        if number == 7 and os.getpid() != home:
            os._exit(3)
        return number != 2

    wanted = set(range(9)) - {2, 4}
    if (
        processes > 1
    ):  # number 7 is done by another process in both cases, which then ends without its later checks
        wanted -= {7}
    assert passed(9, check, processes) == wanted
    assert passed(0, check, processes) == set()


def _model_of(broken: set[int]) -> OmModel:
    names = [f"k{number}" for number in range(5)]
    kernels = [
        OmKernel(name, assemble(FILL.format(repeat=number + 1, flags="" if number in broken else FLAGS)))
        for number, name in enumerate(names)
    ]
    tasks = [OmTask(name, 1, (Address("feature_map", 0),), sources=((f"node_{name}",),)) for name in names]
    return OmModel("m", "Ascend310P3", (), (), 4096, (), tuple(kernels), tuple(tasks))


@pytest.mark.parametrize("many", [0, 1 << 30])
def test_the_first_kernel_with_a_hazard_is_named(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanitizer, "_MANY", many)
    monkeypatch.setattr(sanitizer, "processors", lambda: 2)
    checked = Device(load_soc("Ascend310P3"))
    checked.load(_model_of(set()))
    sanitizer.check_model(checked)
    for broken, first in (({3}, "k3"), ({4, 1}, "k1"), ({0, 2}, "k0")):
        checked.load(_model_of(broken))
        with pytest.raises(
            AscendError, match=rf"kernel {first} \(of node_{first}\) depends on luck"
        ) as caught:
            sanitizer.check_model(checked)
        assert caught.value.code == "E43200"


def test_a_pool_ends_while_a_later_one_lives() -> None:
    """Workers of the second pool hold the pipes of the first one: closing them is no end of file for its workers."""

    def alarm(*_: object) -> None:
        raise TimeoutError("the first pool does not end")

    done = shared_bytes(16).view(np.int32)

    def work(task: int, blocks: range) -> None:
        for block in blocks:
            done[2 * task + block] = os.getpid()

    first, second = (BlockPool(work, 1) for _ in range(2))
    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(20)
    try:
        first.run(0, 2)
        first.close()
        second.run(1, 2)
        second.close()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert done.all(), "blocks were left out"
    assert len(set(done.tolist())) == 3, "two pools and this process share the blocks"
