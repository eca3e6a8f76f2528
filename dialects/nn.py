"""The `nn` dialect: whole-tensor maths on logical shapes, as the model means it.

It says nothing about where data lies or which unit computes. Conventions: NCHW; two spatial dimensions (1-D models have H = 1); axes
count from the front; pads are explicit; broadcasting is numpy's; weights are expressions over keys, never numbers (`blobs.py`).

The ops live in `nn_elementwise`, `nn_roots`, `nn_move` and `nn_structure` and are all reachable from here (`nn.ConvOp`).
"""

from __future__ import annotations

from xdsl.ir import Dialect

from .nn_attrs import BlobAttr
from .nn_elementwise import *  # noqa: F403
from .nn_elementwise import ELEMENTWISE_OPS
from .nn_move import *  # noqa: F403
from .nn_move import MOVE_OPS
from .nn_roots import *  # noqa: F403
from .nn_roots import ROOT_OPS
from .nn_structure import ConstantOp, GroupOp, YieldOp

NN = Dialect("nn", [*ELEMENTWISE_OPS, *ROOT_OPS, *MOVE_OPS, ConstantOp, GroupOp, YieldOp], [BlobAttr])
