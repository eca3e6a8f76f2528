"""Command lines of the kind that public model collections for Ascend give in their instructions, and models for them.

Names, shapes and flags are those that such instructions use (the frequencies are in ../shared/reference/atc-cli.md §0).
The networks behind them are small: what is tried is the command line. A model has the inputs that its command names.
"""

# ruff: noqa: E501 - a command line stays on its line

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

SOC = "--soc_version=Ascend310P3"
COMPILED = """
atc --framework=5 --model=resnet18.onnx --output=resnet18_bs8 --input_format=NCHW --input_shape="image:8,3,224,224" --log=error {soc} --insert_op_conf=aipp.config --enable_small_channel=1
atc --framework=5 --model=resnet50.onnx --output=resnet50_bs1 --input_format=NCHW --input_shape="actual_input_1:1,3,224,224" --log=error {soc}
atc --framework=5 --model=./resnet101.onnx --output=resnet101_bs16 --input_format=NCHW --input_shape="image:16,3,224,224" --log=error {soc} --insert_op_conf=aipp_resnet101.config --enable_small_channel=1
atc --model=vgg16.onnx --framework=5 --output=vgg16_bs1 --input_format=NCHW --input_shape="actual_input_1:1,3,224,224" --log=info {soc} --insert_op_conf=aipp_vgg16_pth.config
atc --framework=5 --model=mobilenetv2.onnx --output=mobilenetv2_16 --input_format=NCHW --input_shape="image:16,3,224,224" --log=debug {soc} --op_select_implmode=high_performance
atc --framework=5 --model=densenet121.onnx --output=densenet121_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" --log=debug {soc}
atc --framework=5 --model=efficientnet_b0.onnx --output=efficientnet_b0_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" --log=error {soc} --optypelist_for_implmode="Sigmoid" --op_select_implmode=high_performance
atc --framework=5 --model=googlenet.onnx --output=googlenet_bs4 --input_format=NCHW --input_shape="actual_input_1:4,3,224,224" --log=error {soc} --insert_op_conf=aipp.config --enable_small_channel=1
atc --framework=5 --model=inceptionv3.onnx --output=inceptionv3_bs1 --input_format=NCHW --input_shape="actual_input_1:1,3,299,299" --log=info {soc} --insert_op_conf=inceptionv3_aipp.config
atc --framework=5 --model=shufflenetv2.onnx --output=shufflenetv2_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" --log=debug {soc}
atc --framework=5 --model=squeezenet1_1.onnx --output=squeezenet1_1_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" --log=error {soc} --enable_small_channel=1
atc --framework=5 --model=bert_bs4.onnx --output=bert_bs4 --input_format=ND --input_shape="input_ids:4,384;attention_mask:4,384;token_type_ids:4,384" --optypelist_for_implmode="Gelu" --op_select_implmode=high_performance {soc}
atc --framework=5 --model=bert_base_bs8.onnx --output=bert_base_bs8 --input_format=ND --input_shape="input_ids:8,512;attention_mask:8,512;token_type_ids:8,512" --log=error {soc} --optypelist_for_implmode="Gelu" --op_select_implmode=high_performance --input_fp16_nodes="attention_mask"
atc --framework=5 --model=yolov3.onnx --output=yolov3_bs1 --input_shape="images:1,3,416,416" --out_nodes="Reshape_219:0;Reshape_203:0;Reshape_187:0" {soc}
atc --framework=5 --model=yolov5s.onnx --output=yolov5s_bs4 --input_format=NCHW --input_shape="images:4,3,640,640" --log=error {soc} --out_nodes="Conv_217:0;Conv_245:0;Conv_261:0" --output_type=FP16
atc --model=yolov5s_sim_t.onnx --framework=5 --output=yolov5s --input_format=NCHW --log=error {soc} --input_shape="images:1,3,640,640" --enable_small_channel=1 --insert_op_conf=aipp_yolov5.cfg --fusion_switch_file=fusion.cfg
atc --framework=5 --model=yolov7.onnx --output=yolov7_bs1 --input_format=NCHW --input_shape="images:1,3,640,640" --log=error {soc} --fusion_switch_file=fusion_switch.cfg
atc --framework=5 --model=yolox.onnx --output=yolox_bs1 --input_format=NCHW --input_shape="input:1,3,640,640" --log=info {soc} --out_nodes="Conv_498:0;Conv_499:0;Conv_491:0"
atc --framework=5 --model=ssd_300.onnx --output=ssd_bs1 --input_format=NCHW --input_shape="image:1,3,300,300" --log=error {soc} --enable_small_channel=1 --output_type="FP32"
atc --framework=5 --model=retinanet.onnx --output=retinanet_bs1 --input_format=NCHW --input_shape="input0:1,3,480,480" --log=debug {soc} --out_nodes="Cast_1224:0;Reshape_1213:0"
atc --model=centernet.onnx --framework=5 --output=centernet_bs1 --input_format=NCHW --input_shape="actual_input:1,3,512,512" --out_nodes="Conv_949:0;Conv_952:0;Conv_955:0" --log=info {soc}
atc --framework=5 --model=deeplabv3.onnx --output=deeplabv3_bs1 --input_format=NCHW --input_shape="input:1,3,513,513" --log=info {soc}
atc --framework=5 --model=unet.onnx --output=unet_bs1 --input_format=NCHW --input_shape="actual_input_1:1,3,572,572" --log=error {soc} --buffer_optimize=off_optimize
atc --framework=5 --model=3dunet.onnx --output=3dunet_bs1 --input_format=NCDHW --input_shape="input:1,4,16,16,16" --log=error {soc}
atc --framework=5 --model=vit_base_patch16_224.onnx --output=vit_bs8 --input_format=NCHW --input_shape="input:8,3,224,224" --log=error {soc} --optypelist_for_implmode="Gelu" --op_select_implmode=high_performance
atc --framework=5 --model=swin_tiny.onnx --output=swin_tiny_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" --log=error {soc} --optypelist_for_implmode="Gelu" --op_select_implmode=high_performance --precision_mode=allow_mix_precision
atc --framework=5 --model=crnn_npu_dy.onnx --output=crnn_npu_bs16 --input_format=NCHW --input_shape="actual_input_1:16,1,32,100" --log=error {soc}
atc --framework=5 --model=dbnet.onnx --output=dbnet_bs1 --input_format=NCHW --input_shape="actual_input_1:1,3,736,1280" --log=info {soc}
atc --framework=5 --model=ecapa_tdnn.onnx --output=ecapa_tdnn_bs4 --input_format=ND --input_shape="mel:4,80,200" --log=debug {soc}
atc --framework=5 --model=wav2vec2.onnx --output=wav2vec2_bs1 --input_format=ND --input_shape="input:1,10000" --log=error {soc}
atc --framework=5 --model=tacotron2_encoder.onnx --output=encoder_static --input_format=ND --input_shape="sequences:1,50;sequence_lengths:1" --log=error {soc}
atc --framework=5 --model=transformer.onnx --output=transformer_bs1 --input_format=ND --input_shape="src_seq:1,15;trg_seq:1,15" {soc} --op_select_implmode=high_precision
atc --framework=5 --model=gru.onnx --output=gru_bs1 --input_format=ND --input_shape="input:1,64,80" --precision_mode=force_fp32 {soc} --log=error
atc --framework=5 --model=ctc.onnx --output=ctc_bs1 --input_format=ND --input_shape="feats:1,120,40" {soc} --precision_mode_v2=mixed_float16 --modify_mixlist=ops_info.json
atc --framework=5 --model=stgcn.onnx --output=stgcn_bs1 --input_format=NCHW --input_shape="actual_input_1:1,1,12,207" --log=error {soc} --keep_dtype=keep_dtype.txt
atc --framework=5 --model=dcgan.onnx --output=dcgan_bs1 --input_format=NCHW --input_shape="noise:1,100,1,1" {soc}
atc --framework=5 --model=cyclegan.onnx --output=CycleGAN_bs1 --input_format=NCHW --input_shape="img_sat_maps:1,3,256,256" --out_nodes="maps" {soc} --log=debug
atc --framework=5 --model=srcnn.onnx --output=srcnn_bs1 --input_format=NCHW --input_shape="image:1,1,256,256" --log=error {soc}
atc --model=esrgan.onnx --framework=5 --output=esrgan_bs1 --input_shape="real_input:1,3,128,128" {soc} --fusion_switch_file=switch.cfg
atc --framework=5 --model=pfld.onnx --output=pfld_bs1 --input_format=NCHW --input_shape="input_1:1,3,112,112" --log=error {soc} --insert_op_conf=aipp_rgb.cfg
atc --framework=5 --model=facenet.onnx --output=facenet_bs4 --input_format=NCHW --input_shape="image:4,3,160,160" --log=debug {soc} --is_input_adjust_hw_layout=false
atc --framework=5 --model=arcface.onnx --output=arcface_bs1 --input_format=NCHW --input_shape="image:1,3,112,112" --log=error {soc} --output_type=FP32
atc --framework=5 --model=openpose.onnx --output=openpose_bs1 --input_format=NCHW --input_shape="data:1,3,368,640" --out_nodes="Conv_150:0" --output_type="Conv_150:0:FP16" {soc}
atc --framework=5 --model=hrnet.onnx --output=hrnet_bs1 --input_format=NCHW --input_shape="image:1,3,512,1024" --log=debug {soc} --insert_op_conf=aipp_yuv.cfg
atc --framework=5 --model=reid.onnx --output=reid_bs1 --input_format=NCHW --input_shape="image:1,3,256,128" --log=debug {soc} --insert_op_conf=reid_aipp.cfg --enable_small_channel=1
atc --framework=5 --model=ibert.onnx --output=ibert_bs1 --input_format=ND --input_shape="tokens:1,70" --op_precision=op_precision.ini {soc}
atc --framework=5 --model=deit.onnx --output=deit_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" {soc} --op_precision_mode=op_precision.ini
atc --framework=5 --model=gfocal.onnx --output=gfocal_bs1 --input_shape="input.1:1,3,320,320" --log=error {soc} --customize_dtypes=custom.cfg
atc --framework 5 --model deepmar.onnx --output deepmar_bs1 --input_format NCHW --input_shape "actual_input_1:1,3,224,224" --log error --soc_version Ascend310P3
atc -framework=5 -model=alphapose.onnx -output=alphapose_bs1 -input_format=NCHW -input_shape="image:1,3,256,192" -soc_version=Ascend310P3
atc --framework=5 --model=albert.onnx --input-shape="input_ids:2,128;attention_mask:2,128" --input-format=ND --output=albert --soc-version=Ascend310P3 --log=error
atc --framework=5 --model=res2net.onnx --output=res2net --input_shape="x:1,3,224,224" --input_format=NCHW --soc_version=310P3 --log=error
atc --framework=5 --model=pnasnet.onnx --output=pnasnet_bs1 --input_format=NCHW --input_shape="image:1,3,331,331" --log=error --soc_version=Ascend310 --mdl_bank_path=./bank
atc --framework=5 --model=resnext50.onnx --output=resnext50_bs1 --input_format=NCHW --input_shape="actual_input_1:1,3,224,224" --log=error --soc_version=Ascend910A --insert_op_conf=aipp.config
atc --framework=1 --model=wdsr.onnx --output=wdsr_bs1 --input_format=NCHW --input_shape="image:1,3,240,320" {soc} --deterministic=1
atc --framework=5 --model=lprnet.onnx --output=lprnet_bs1 --input_format=NCHW --input_shape="image:1,3,24,94" {soc} --optimization_switch="ConvBatchnormFusionPass:off;TbeEltwiseFusionPass:off"
atc --framework=5 --model=nima.onnx --output=nima_bs1 --input_format=NCHW --input_shape="image:1,3,224,224" --log=debug {soc} --display_model_info=1 --op_debug_level=0
atc --framework=5 --model=pcb.onnx --output=out/models/pcb_bs1 --input_format=NCHW --input_shape="input_1:1,3,384,128" --log=debug {soc} --op_compiler_cache_mode=enable --op_compiler_cache_dir=./cache
atc --framework=5 --model=slowfast.onnx --output=slowfast_bs1 --input_format=ND --input_shape="fast:1,3,32,56;slow:1,3,8,56" {soc} --disable_reuse_memory=0 --save_original_model=false
atc --framework=5 --model=tsm.onnx --output=tsm_bs1 --input_format=NCHW --input_shape="video:8,3,224,224" {soc} --op_name_map=map.txt --host_env_os=linux --host_env_cpu=x86_64
"""
"""Each compiles on the model that `make_model` gives it."""

PROFILES = """
atc --framework=5 --model=en_bert.onnx --output=en_bert --input_format=ND --input_shape="input_ids:-1,-1;mask:-1,-1" --dynamic_dims="1,64,1,64;4,128,4,128" {soc}
atc --framework=5 --model=yolov3_dy.onnx --output=yolov3_dy --input_format=NCHW --input_shape="input:1,3,-1,-1" --dynamic_image_size="320,320;640,640" {soc} --log=error
atc --framework=5 --model=resnet_dy.onnx --output=resnet_dy --input_format=NCHW --input_shape="image:-1,3,224,224" --dynamic_batch_size="1,4,8,16" --log=error {soc}
atc --framework=5 --model=lens.onnx --output=lens --input_format=ND --input_shape_range="feats:[1~3,50,80];lens:[1~3,8]" --log=error {soc}
"""
"""Compiled for several sizes."""

REFUSED = """
atc --framework=5 --model=wenet.onnx --output=wenet --input_format=ND --input_shape_range="feats:[1~64,1~1500,80];lens:[1~64]" --log=error {soc}
atc --framework=5 --model=old.onnx --output=old --input_shape="x:1,3,8,8" {soc} --auto_tune_mode="RL,GA"
"""
"""Understood, and refused with a reason: more sizes than can be compiled, and a flag that the public tool has dropped."""

_AIPP = (
    "aipp_op {{ aipp_mode: static related_input_rank: 0 input_format: {format} src_image_size_w: {w} src_image_size_h: {h} "
    "crop: {crop} load_start_pos_w: 4 load_start_pos_h: 4 crop_size_w: {cw} crop_size_h: {ch} csc_switch: {csc} "
    "mean_chn_0: 124 mean_chn_1: 117 mean_chn_2: 104 "
    "var_reci_chn_0: 0.0171248 var_reci_chn_1: 0.0175070 var_reci_chn_2: 0.0174292 }}\n"
)
FILES = {
    "fusion.cfg": '{"Switch":{"GraphFusion":{"TransposeReshapeFusionPass":"off"},"UBFusion":{"TbeEltwiseFusionPass":"off"}}}',
    "fusion_switch.cfg": "TransposeReshapeFusionPass:off\nReshapeTransposeFusionPass:off\n",
    "switch.cfg": "fusion_pattern: TbeEltwiseFusionPass switch: off\n",
    "ops_info.json": '{"black-list": {"to-add": ["SoftmaxV2"], "to-remove": []}}',
    "keep_dtype.txt": "OpType::Sigmoid\n",
    "op_precision.ini": "[ByOpType]\nSigmoid=high_precision\nGelu=high_performance\n",
    "custom.cfg": "OpType::Sigmoid:InputDtype:float16,OutputDtype:float32\n",
    "map.txt": "MyRelu:Relu\n",
}


def lines(text: str) -> list[str]:
    """The command lines of a table."""
    return [line.format(soc=SOC) for line in text.strip().split("\n")]


def words(line: str) -> list[str]:
    """As a shell hands them over, the program's name left out."""
    return shlex.split(line)[1:]


def value_of(flags: Sequence[str], name: str) -> str:
    """A flag's value, in either spelling."""
    for at, word in enumerate(flags):
        key, equals, value = word.lstrip("-").partition("=")
        if key.replace("-", "_") == name:
            return value if equals else flags[at + 1]
    return ""


def prepare(folder: Path, flags: Sequence[str]) -> None:
    """The files that a command line names, in a folder."""
    wanted = value_of(flags, "input_shape") or value_of(flags, "input_shape_range")
    shapes = {
        part.rpartition(":")[0]: [
            _size(word, f"open_{index}_{axis}")
            for axis, word in enumerate(part.rpartition(":")[2].strip("[]").split(","))
        ]
        for index, part in enumerate(wanted.split(";"))
    }
    outputs = [name for name in value_of(flags, "out_nodes").split(";") if name]
    onnx.save(make_model(shapes, outputs), folder / value_of(flags, "model"))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    aipp = value_of(flags, "insert_op_conf")
    if aipp:
        _, _, height, width = next(iter(shapes.values()))
        is_yuv = "yuv" in aipp
        pixels = "YUV420SP_U8" if is_yuv else "RGB888_U8"
        crop = dict(crop="true", w=width + 8, h=height + 8, cw=width, ch=height)
        if is_yuv:
            crop = dict(crop="false", w=width, h=height, cw=0, ch=0)
        (folder / aipp).write_text(_AIPP.format(format=pixels, csc="true" if is_yuv else "false", **crop))


def _size(word: str, name: str) -> int | str:
    """A number; an open size has a name."""
    return int(word) if word.isdecimal() else name


def make_model(shapes: dict[str, list[int | str]], outputs: Sequence[str]) -> onnx.ModelProto:
    """A small network per input; the nodes that a command line names are among them."""
    rng = np.random.default_rng(len(shapes))
    nodes: list[NodeProto] = []
    weights: dict[str, np.ndarray] = {}
    heads: list[str] = []
    for index, (name, shape) in enumerate(shapes.items()):
        last, heads_of_input = name, heads
        if len(shape) in (4, 5):
            is_wide = all(isinstance(size, str) or size > 2 for size in shape[2:])
            kernel = [3 if is_wide else 1] * (len(shape) - 2)
            weights[f"w{index}"] = rng.normal(size=(8, shape[1], *kernel)).astype(np.float32) * 0.2
            pads = [k // 2 for k in kernel] * 2
            nodes.append(
                helper.make_node("Conv", [name, f"w{index}"], [f"c{index}"], f"Conv_{index}", pads=pads)
            )
            last = f"c{index}"
        elif len(shape) >= 2 and isinstance(shape[-1], int):
            weights[f"w{index}"] = rng.normal(size=(shape[-1], 16)).astype(np.float32) * 0.1
            nodes.append(helper.make_node("MatMul", [name, f"w{index}"], [f"c{index}"], f"MatMul_{index}"))
            last = f"c{index}"
        nodes.append(helper.make_node("Sigmoid", [last], [f"s{index}"], f"Sigmoid_{index}"))
        nodes.append(helper.make_node("Relu", [f"s{index}"], [f"r{index}"], f"Relu_{index}"))
        heads_of_input.append(f"r{index}")
    for number, output in enumerate(outputs):
        node, _, _ = output.rpartition(":")
        tensor = output if ":" not in output else f"t_{number}"
        nodes.append(helper.make_node("Mul", [heads[0], heads[0]], [tensor], node or output))
        heads.append(tensor)
    graph = helper.make_graph(
        nodes,
        "zoo",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in heads],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
