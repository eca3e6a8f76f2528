"""The `nn` dialect: whole-tensor maths on logical shapes, as the model means it.

It says nothing about where data lies or which unit computes. Conventions: NCHW; two spatial dimensions (1-D
models have H = 1); axes count from the front; pads are explicit; broadcasting is numpy's; weights are
expressions over keys, never numbers (`blobs.py`).

The ops live in `nn_elementwise`, `nn_roots`, `nn_move` and `nn_structure` and are all reachable from here
(`nn.ConvOp`).
"""

# ruff: noqa: PLC0414 - "as" marks a name that this module hands on; without it ruff --fix deletes the import

from __future__ import annotations

from xdsl.ir import Dialect

from .blobs import BLOB_OPS as BLOB_OPS
from .blobs import Blob as Blob
from .nn_attrs import BlobAttr as BlobAttr
from .nn_attrs import NNOp as NNOp
from .nn_attrs import dtype_of as dtype_of
from .nn_attrs import ints as ints
from .nn_attrs import shape_of as shape_of
from .nn_attrs import tensor as tensor
from .nn_attrs import tensor_type as tensor_type
from .nn_attrs import to_attribute as to_attribute
from .nn_attrs import to_python as to_python
from .nn_cpu import CPU_OPS
from .nn_cpu import CpuKernelOp as CpuKernelOp
from .nn_elementwise import *  # noqa: F403
from .nn_elementwise import ELEMENTWISE_OPS
from .nn_move import *  # noqa: F403
from .nn_move import MOVE_OPS
from .nn_roots import *  # noqa: F403
from .nn_roots import ROOT_OPS
from .nn_structure import ConstantOp as ConstantOp
from .nn_structure import GroupOp as GroupOp
from .nn_structure import YieldOp as YieldOp
from .nn_terms import *  # noqa: F403
from .nn_terms import TERM_OPS
from .text_type import StringType

NN = Dialect(
    "nn",
    [*ELEMENTWISE_OPS, *ROOT_OPS, *MOVE_OPS, *TERM_OPS, *CPU_OPS, ConstantOp, GroupOp, YieldOp],
    [BlobAttr, StringType],
)
