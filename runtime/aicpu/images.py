"""Pictures out of their files: JPEG, PNG, BMP, TIFF, JPEG 2000, WebP and the PNM family, by the package Pillow.

A file is data that comes with each run and may be hostile: only these formats are tried, and the size that its
header states is compared with the space of the result before a pixel is decoded.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import AscendError
from .definition import TensorSpec
from .kernel import Array, CpuKernel, Settings, integer, word

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS: Final = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What ONNX lists, in Pillow's names (PPM is all of PBM, PGM, PPM, PNM)."""
CHANNELS: Final = {"RGB": 3, "BGR": 3, "Grayscale": 1}
"""`pixel_format` → channels of a pixel."""
MOST_PIXELS: Final = 1 << 24
"""Of a picture whose size the model does not declare."""


def _decode(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """Rows, columns, channels. With `result` the size depends on data, a file that is no picture gives an empty one, and
    the space bounds the pixels; without, the size is that of the result."""
    kind = word(settings, "pixels", "RGB")
    empty = np.zeros((0, 0, CHANNELS[kind]), np.uint8)
    if "result" not in settings:
        height, width, _ = outputs[0].shape
        picture = _opened(operands[0])
        if picture is None:
            raise ValueError("a file that is no picture, where the model declares its size")
        if (picture.height, picture.width) != (height, width):
            raise ValueError(
                f"a picture of {picture.height} × {picture.width} pixels; the model says {height} × {width}"
            )
        pixels = _pixels(picture, kind)
        if pixels is None:
            raise ValueError("a picture that cannot be decoded, where the model declares its size")
        return [pixels]
    picture = _opened(operands[0])
    if picture is not None and picture.height * picture.width > MOST_PIXELS:
        raise ValueError(f"a picture of {picture.height} × {picture.width} pixels; at most {MOST_PIXELS}")
    pixels = _pixels(picture, kind) if picture is not None else None
    found = empty if pixels is None else pixels
    return [np.array(found.shape, np.int64)] if integer(settings, "result") < 0 else [found]


def _opened(data: Array) -> Image | None:
    """A picture whose header was read; None for what is none."""
    try:
        from PIL import Image
    except ImportError as error:
        raise AscendError(
            "E40020",
            "ImageDecoder needs the Python package pillow",
            hint="pip install 'ascend-mlir[image]', or pip install pillow",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which the caller looks at, and of odd tags
            return Image.open(io.BytesIO(data.astype(np.uint8).tobytes()), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    except Exception:  # what a parser of a foreign format may raise is not listed anywhere
        return None


def _pixels(picture: Image, kind: str) -> Array | None:
    """Decoded; None where the file is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(picture.convert("L" if kind == "Grayscale" else "RGB"))
    except Exception:  # as above
        return None
    return found[:, :, None] if kind == "Grayscale" else found[:, :, ::-1] if kind == "BGR" else found


KERNELS = {"ImageDecoder": CpuKernel(_decode, 30)}
