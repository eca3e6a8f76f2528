"""What a model file is, told by its first bytes: users mix up the numbers of `--framework` and the files they have.

Nothing is decoded beyond what tells one kind from the other, so a file of any size and any origin can be asked about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HEAD: Final = 4096


@dataclass(frozen=True)
class Content:
    """A kind of model file: the number `--framework` has for it ("" if none), and how to come from it to ONNX."""

    name: str
    framework: str
    remedy: str


ONNX: Final = Content("ONNX", "5", "")
OFFLINE: Final = Content("an offline model (.om)", "", "run it (atc run), or give the model it was made of")
PYTORCH: Final = Content(
    "a PyTorch checkpoint", "", "export it: torch.onnx.export(model, inputs, 'model.onnx')"
)
TENSORFLOW: Final = Content(
    "a TensorFlow graph", "3", "export it: python -m tf2onnx.convert --graphdef model.pb --output model.onnx"
)
CAFFE: Final = Content("a Caffe model", "0", "convert it to ONNX, for example with caffe2onnx or MMdnn")
MINDSPORE: Final = Content(
    "a MindSpore model", "1", "export it: mindspore.export(net, x, file_format='ONNX')"
)
TFLITE: Final = Content(
    "a TensorFlow Lite model", "", "convert it: python -m tf2onnx.convert --tflite m.tflite"
)
KERAS: Final = Content("an HDF5 file (Keras)", "", "export it: python -m tf2onnx.convert --keras m.h5")
SAFETENSORS: Final = Content("a safetensors file", "", "it holds weights only: export the network to ONNX")
ARCHIVE: Final = Content("a compressed archive", "", "unpack it first")
TEXT: Final = Content("a text file", "", "give the ONNX file itself; a short text is often a Git LFS pointer")
UNKNOWN: Final = Content("no known kind of model", "", "export the model to ONNX")

_MAGIC: Final = (
    (0, b"IMOD", OFFLINE),
    (4, b"TFL3", TFLITE),
    (0, b"\x89HDF\r\n", KERAS),
    (0, b"\x1f\x8b", ARCHIVE),
    (0, b"7z\xbc\xaf", ARCHIVE),
    (0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", PYTORCH),  # torch.save before 1.6
)
_CAFFE_TEXT: Final = re.compile(rb"^\s*(layers?|input|input_dim|name)\s*[:{]", re.MULTILINE)
_CAFFE_LAYER: Final = re.compile(rb"\blayers?\s*\{")
_MINDSPORE: Final = b"MindSpore"


def content_of(path: Path) -> Content:
    """The kind of a file, UNKNOWN where nothing tells."""
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[:4] == b"PK\x03\x04":
        return PYTORCH if b"data.pkl" in head or b"/version" in head else ARCHIVE
    if head[8:9] == b"{" and b'"dtype"' in head[:512]:
        return SAFETENSORS
    if _is_text(head):
        is_caffe = _CAFFE_TEXT.search(head) and (_CAFFE_LAYER.search(head) or b"input_dim" in head)
        return CAFFE if is_caffe else TEXT
    return _protobuf(head, path)


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text) and all(c.isprintable() or c in "\n\r\t" for c in text)


def _protobuf(head: bytes, path: Path) -> Content:
    """By the first field: ONNX begins with ir_version (1, a number), TensorFlow with a node (1, a message whose first
    field is a name), Caffe with a name (1, text) or a layer (100)."""
    if head[:1] == b"\x08":
        return MINDSPORE if _MINDSPORE in head and path.suffix in (".mindir", ".air") else ONNX
    if head[:1] == b"\x0a" and len(head) > 4:
        length = head[1]
        start = 2 if length < 0x80 else 3
        if head[start : start + 1] == b"\x0a" and b"\x12" in head[start : start + 200]:
            return MINDSPORE if path.suffix in (".air", ".mindir") else TENSORFLOW
        if path.suffix == ".caffemodel":
            return CAFFE
        if _MINDSPORE in head or path.suffix in (".air", ".mindir"):
            return MINDSPORE
    if path.suffix == ".onnx":
        return ONNX  # fields may stand in any order; its reader says what is wrong with it
    return UNKNOWN
