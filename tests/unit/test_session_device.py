"""Session, container and simulator together on a hand-written kernel: bytes of a file in, outputs out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
from ascend_mlir.runtime.om.writer import om_bytes, write_om
from ascend_mlir.runtime.session import InferenceSession

ADD = """
.kernel args=3
arg r1, number=0
arg r2, number=1
arg r3, number=2
copy_gm_to_ubuf ub[0], gm[r1], bursts=1, length=8
copy_gm_to_ubuf ub[0x100], gm[r2], bursts=1, length=8
{load_done}
vadd.f16 ub[0x200], ub[0], ub[0x100], repeat=1
{add_done}
copy_ubuf_to_gm gm[r3], ub[0x200], bursts=1, length=8
end
"""
LOAD_DONE = "set_flag src=MTE2, dst=V, event=0\nwait_flag src=MTE2, dst=V, event=0"
ADD_DONE = "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0"
WEIGHT = np.arange(128, dtype=np.float16)


def add_model(code: str) -> OmModel:
    """y = x + w on 128 halves."""
    (w,) = place_weights([OmWeight("w", "f16", (128,), (128,), "ND", WeightPayload.of(WEIGHT.tobytes()))])
    args = (Address("feature_map", 0), Address("weights", w.offset), Address("feature_map", 512))
    return OmModel(
        name="add",
        soc="Ascend310P3",
        inputs=(OmTensor("x", "f16", (2, 64), 256, 0),),
        outputs=(OmTensor("y", "f16", (2, 64), 256, 512),),
        memory_size=1024,
        weights=(w,),
        kernels=(OmKernel("add", assemble(code)),),
        tasks=(OmTask("add", 1, args),),
    )


def test_from_file_to_outputs(tmp_path: Path) -> None:
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), tmp_path / "add.om")
    session = InferenceSession(tmp_path / "add.om", sanitize=True)
    x = np.full((2, 64), 0.5, np.float16)
    (y,) = session.run(["y"], {"x": x})
    assert np.array_equal(y, x + WEIGHT.reshape(2, 64))


def test_a_model_larger_than_the_device() -> None:
    model = replace(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), memory_size=1 << 38)
    model = replace(model, weight_base=1 << 50)
    data = om_bytes(replace(model, tasks=()))
    with pytest.raises(AscendError, match="bytes of device memory") as caught:
        InferenceSession(data)
    assert caught.value.code == "E13023"


def test_the_file_may_go_once_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "add.om"
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), path)
    session = InferenceSession(path)
    path.unlink()
    assert session.run(None, {"x": np.zeros((2, 64), np.float16)})[0][1, 63] == 127


@pytest.mark.parametrize(
    "change", [{"load_done": "", "add_done": ADD_DONE}, {"load_done": LOAD_DONE, "add_done": ""}]
)
def test_sanitizer_finds_a_missing_flag(change: dict[str, str]) -> None:
    data = om_bytes(add_model(ADD.format(**change)))
    with pytest.raises(AscendError) as caught:
        InferenceSession(data, sanitize=True)
    assert caught.value.code == "E43200" and "kernel add" in caught.value.message
