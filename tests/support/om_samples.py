"""Synthetic offline models for the container's tests: what a compiler could have made, kernels filled with
noise."""

from __future__ import annotations

import math

import numpy as np
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.model import (
    KERNEL_TYPE_AI_CPU,
    Address,
    OmDesc,
    OmGraphOp,
    OmKernel,
    OmModel,
    OmTask,
    OmTensor,
    OmWeight,
    WeightPayload,
    place_weights,
)


def noise(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def weight(
    name: str, storage: tuple[int, ...], seed: int, *, fmt: str = "ND", dtype: str = "f16"
) -> OmWeight:
    data = noise(math.prod(storage) * (4 if dtype == "f32" else 2), seed)
    return OmWeight(name, dtype, storage, storage, fmt, WeightPayload.of(data))


def conv_model() -> OmModel:
    """Input → convolution → pooling on the AI CPU → output, with three weights, two of them equal."""
    w, b, b2 = place_weights(
        (
            weight("conv.weight", (36, 4, 16, 16), 1, fmt="FRACTAL_Z"),
            weight("conv.bias", (64,), 2, dtype="f32"),
            weight("conv.bias_copy", (64,), 2, dtype="f32"),
        )
    )
    image = OmDesc("f16", (1, 64, 56, 56), (1, 4, 56, 56, 16), "NC1HWC0", "NCHW", 401408)
    line = OmDesc("f32", (64,), (64,), size=256)
    conv = OmGraphOp(
        "layer1.conv+relu",
        "FusedConvBNReLU",
        ("x:0", "conv.weight:0", "conv.bias:0"),
        (
            image,
            OmDesc("f16", (64, 64, 3, 3), w.storage_shape, "FRACTAL_Z", "NCHW", w.size),
            line,
        ),
        (image,),
        {
            "_datadump_original_op_names": ("conv", "relu"),
            "strides": (1, 1),
            "alpha": 0.5,
            "flag": True,
            "empty": (),
        },
        input_offsets=(0, w.offset, b.offset),
        output_offsets=(402432,),
    )
    pool = OmGraphOp(
        "pool",
        "Pool",
        ("layer1.conv+relu:0",),
        (image,),
        (OmDesc("f32", (1, 64), (1, 64), size=256),),
        {"table": ((1, 2), (3,))},
    )
    return OmModel(
        name="sample",
        soc="Ascend310P3",
        inputs=(OmTensor("x", "f16", (1, 64, 56, 56), 401408, 0, "NCHW"),),
        outputs=(OmTensor("probabilities", "f32", (1, 64), 256, 804864, "ND", "pool:0"),),
        memory_size=805888,
        weights=(w, b, b2),
        kernels=(OmKernel("conv_7c1e", noise(320, 7)), OmKernel("unused_0", noise(32, 8))),
        tasks=(
            OmTask(
                "conv_7c1e",
                8,
                (
                    Address("feature_map", 0),
                    Address("weights", w.offset),
                    Address("weights", b.offset),
                    Address("feature_map", 402432),
                    56,
                    2**63 + 1,
                ),
                0,
                sources=(("conv", "bn"), (), ("relu",)),
            ),
            OmTask(
                "Pool",
                1,
                (Address("feature_map", 402432), Address("feature_map", 804864)),
                1,
                stream=1,
                kernel_type=KERNEL_TYPE_AI_CPU,
                kernel_ext_info=b"\x0a\x04pool\xff",
            ),
        ),
        graph=(conv, pool),
        attrs={
            "atc_version": "0.1.0",
            "framework_type": "5",
            "blob": b"\xff\x00",
            "list": ("a", "b"),
            "neg": -3,
        },
    )


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
