"""The checks on whole tasks: ranges from the graph of a model, and kernels that read scalars from memory."""

from __future__ import annotations

import numpy as np
from ascend_mlir.runtime.om.model import Address, OmDesc, OmGraphOp, OmModel, OmTask
from ascend_mlir.runtime.sim.device import run_blocks
from ascend_mlir.runtime.sim.gm_ranges import task_ranges
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.loads import recording_kernel
from ascend_mlir.runtime.sim.memory import Core, GlobalMemory, Region
from ascend_mlir.runtime.sim.timing import time_task
from ascend_mlir.runtime.soc import load_soc
from sim_kernels import program

P3 = load_soc("Ascend310P3")
KERNEL = """
.kernel args=2
arg r0, number=0
arg r1, number=1
copy_gm_to_ubuf ub[0], gm[0+r0], bursts=1, length={load}
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
vrelu.f16 ub[0], ub[0], repeat=2
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm gm[0+r1], ub[0], bursts=1, length={store}
end
"""


def _model(size: int = 512) -> OmModel:
    desc = OmDesc("f16", (size // 2,), (size // 2,), size=size)
    op = OmGraphOp("relu", "Relu", ("x:0",), (desc,), (desc,), input_offsets=(0,), output_offsets=(1024,))
    task = OmTask("k", 1, (Address("feature_map", 0), Address("feature_map", 1024)))
    return OmModel("m", "Ascend310P3", (), (), 2048, tasks=(task,), graph=(op,))


def _rules(load: int, store: int) -> list[str]:
    model = _model()
    kernel = program(KERNEL.format(load=load, store=store))
    found = check_task(P3, kernel, model.arg_words(model.tasks[0]), 1, task_ranges(model, model.tasks[0]))
    return sorted(hazard.rule for hazard in found)


def test_ranges_of_the_graph() -> None:
    assert _rules(16, 16) == []
    assert _rules(16, 17) == []  # 32 spare bytes
    assert _rules(16, 15) == ["result not written"]
    assert _rules(15, 16) == ["undefined"]


def test_several_tasks_of_one_operator_are_left_alone() -> None:
    model = _model()
    assert task_ranges(OmModel(**{**vars(model), "tasks": model.tasks * 2}), model.tasks[0]) is None


def test_loads_are_recorded_per_block() -> None:
    text = """
    .kernel args=1
    arg r0, number=0
    block_idx r1
    mul r2, r1, 4
    load_scalar r3, gm[0+r0+r2], bytes=4
    loop r4, r3
      vector_dup.f16 ub[0], 0, repeat=1
      pipe_barrier pipe=V
    end_loop
    end
    """
    kernel, loads = recording_kernel(program(text), P3)
    gm = np.array([3, 5], np.int32).view(np.uint8)
    run_blocks(kernel, Core(P3, GlobalMemory([Region(0, gm)])), (0,), range(2), 2)
    assert loads == [[3], [5]]
    timing = time_task(P3, kernel.program, (0,), 2, loads=loads)
    assert [block.counts["vector_dup"] for block in timing.blocks] == [3, 5]
    assert check_task(P3, kernel.program, (0,), 2, loads=loads) == []
