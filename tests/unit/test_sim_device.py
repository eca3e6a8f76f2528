"""A whole model on the device: regions, inputs and outputs, errors, blocks in several processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.model import (
    Address,
    OmKernel,
    OmModel,
    OmTask,
    OmTensor,
    OmWeight,
    WeightPayload,
    place_weights,
)
from ascend_mlir.runtime.sim import device as device_module
from ascend_mlir.runtime.sim.device import Device
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.workers import can_fork
from ascend_mlir.runtime.soc import load_soc

# y = x + w, one block per 256 bytes; argument 3 is a byte added to every UB address
ADD = """
.kernel args=4
arg r1, number=0
arg r2, number=1
arg r3, number=2
arg r7, number=3
block_idx r4
mul r5, r4, 256
mul r7, r7, r4
copy_gm_to_ubuf ub[0], gm[r1+r5], bursts=1, length=8
copy_gm_to_ubuf ub[0x100], gm[r2+r5], bursts=1, length=8
vadd.f16 ub[0x200+r7], ub[0], ub[0x100], repeat=1
copy_ubuf_to_gm gm[r3+r5], ub[0x200], bursts=1, length=8
end
"""
BLOCKS = 6
SIZE = 256 * BLOCKS


def model(*, skew: int = 0, kernel: str = "add", cut: int = 0) -> OmModel:
    weight = np.arange(BLOCKS * 128).astype(np.float16)
    placed = place_weights(
        [OmWeight("w", "f16", weight.shape, weight.shape, "ND", WeightPayload.of(weight.tobytes()))]
    )
    args = (
        Address("feature_map", 0),
        Address("weights", placed[0].offset),
        Address("feature_map", 2048),
        skew,
    )
    return OmModel(
        "m",
        "Ascend310P3",
        (OmTensor("x", "f16", (BLOCKS * 128,), SIZE, 0),),
        (OmTensor("y", "f16", (BLOCKS, 128), SIZE, 2048),),
        4096,
        placed,
        (OmKernel("add", assemble(ADD)),),
        tuple(OmTask(kernel, BLOCKS, args[: 4 - cut]) for _ in range(2)),
    )


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_run(workers: int) -> None:
    if workers > 1 and not can_fork():
        pytest.skip("needs fork")
    device = Device(load_soc("Ascend310P3"), workers=workers)
    device.load(model())
    for seed in range(3):
        x = np.random.default_rng(seed).integers(0, 100, BLOCKS * 128).astype(np.float16)
        result = device.run([x])
        np.testing.assert_array_equal(
            result["y"], (x + np.arange(BLOCKS * 128)).astype(np.float16).reshape(BLOCKS, 128)
        )
        device._alone.clear()  # even though the tasks are short
    device.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_fault_in_any_process_has_all_details(workers: int) -> None:
    device = Device(load_soc("Ascend310P3"), workers=workers)
    device.load(model(skew=2))
    device._alone.clear()
    with pytest.raises(
        SimulatorFault, match=r"kernel add, block \d, at 0240 vadd.f16.*0x20[24] is not 32-byte|0x20"
    ) as info:
        device.run([np.zeros(BLOCKS * 128, np.float16)])
    assert info.value.address == 0x240
    device.close()


@pytest.mark.parametrize(
    ("comment", "named"), [("", "left, right, other"), ("  ; op 0", "left, right"), ("  ; op 1", "other")]
)
def test_a_fault_names_the_source_nodes(comment: str, named: str) -> None:
    """The nodes of the instruction's op; all of the task when the instruction belongs to no op."""
    line = "vadd.f16 ub[0x200+r7], ub[0], ub[0x100], repeat=1"
    text = ADD.replace("args=4", "args=4 body_ops=2").replace(line, line + comment)
    plain = model(skew=2)
    tasks = tuple(replace(task, sources=(("left", "right"), ("other",))) for task in plain.tasks)
    device = Device(load_soc("Ascend310P3"), workers=1)
    device.load(replace(plain, tasks=tasks, kernels=(OmKernel("add", assemble(text)),)))
    with pytest.raises(SimulatorFault, match=rf"kernel add, .*vadd.f16.* \(of {named}\): .*not 32-byte"):
        device.run([np.zeros(BLOCKS * 128, np.float16)])


def test_refusals() -> None:
    device = Device(load_soc("Ascend310P3"))
    with pytest.raises(AscendError, match="no model is loaded"):
        device.run([])
    with pytest.raises(AscendError, match="no such kernel"):
        device.load(model(kernel="other"))
    device.load(model())
    with pytest.raises(AscendError, match="input x is missing"):
        device.run({})
    with pytest.raises(AscendError, match="input x has 2 bytes"):
        device.run([np.zeros(1, np.float16)])
    device.load(model(cut=1))
    with pytest.raises(AscendError, match="takes 4 arguments"):
        device.run([np.zeros(BLOCKS * 128, np.float16)])


def test_weights_are_read_only() -> None:
    broken = model()
    task = OmTask("add", BLOCKS, (*broken.tasks[0].args[:2], Address("weights", 512), 0))
    device = Device(load_soc("Ascend310P3"))
    device.load(OmModel(**{**broken.__dict__, "tasks": (task,)}))
    with pytest.raises(SimulatorFault, match="read-only"):
        device.run([np.zeros(BLOCKS * 128, np.float16)])


def test_endless_loop_runs_out_of_fuel() -> None:
    from ascend_mlir.runtime.sim.device import run_kernel

    image = assemble(".kernel args=0\nloop r1, 1000000\nadd r2, r2, 1\nend_loop\nend\n")
    with pytest.raises(SimulatorFault, match="endless loop"):
        run_kernel(load_soc("Ascend310P3"), image, bytearray(64), (), fuel=1000)


@pytest.mark.skipif(not can_fork(), reason="needs fork")
def test_a_long_run_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start when a run has taken `_LONG`, and the numbers do not show it."""
    monkeypatch.setattr(device_module, "processors", lambda: 2)
    x = np.arange(BLOCKS * 128).astype(np.float16)
    results: list[bytes] = []
    for seconds, shared in ((1e9, False), (0.0, True)):
        monkeypatch.setattr(device_module, "_LONG", seconds)
        device = Device(load_soc("Ascend310P3"))
        device.load(model())
        results.append(device.run([x])["y"].tobytes())
        assert (device._pool is not None) == shared
        device.close()
    assert results[0] == results[1]
