"""Pass nn-decompose."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from .canonicalization import (
    nn_channels,
    nn_composites,
    nn_convolution,
    nn_deconvolution,
    nn_infinities,
    nn_integers,
    nn_linear,
    nn_long_rows,
    nn_positions,
    nn_resampling,
    nn_short_axes,
    nn_wide_windows,
)
from .nn_convert_precision import f32_support
from .nn_fold_constants import fold
from .rewriting import apply_rules


@dataclass(frozen=True)
class NNDecomposePass(ModulePass):
    """Write composite ops as what the generators know: elementwise ops, reductions over whole dims,
    convolution, matmul, moves.

    before  %y = nn.softmax %x axis 2 : tensor<8x197x197xf32>
    after   %m = nn.reduce %x kind max axes [2] keepdims ; %d = nn.sub %x, %m ; %e = nn.exp %d
            %s = nn.reduce %e kind sum axes [2] keepdims ; %y = nn.div %e, %s

    Afterwards: no softmax, log_softmax, layer_norm, instance_norm, batch_norm, lrn, conv_transpose; every
    reduce keeps its dims, is of kind sum, mean, max, min or prod and runs over a suffix of the dims or over H
    and W; operands of elementwise ops have equal rank (or rank 0); a matmul of one row and a constant is a
    1×1 convolution.

    A statistic that must be accumulated in f32 carries the attribute `precise`, which nn-convert-precision
    reads.
    """

    name = "nn-decompose"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_rules(
            op,
            [
                *nn_infinities.RULES,
                nn_composites.exact_extremes(f32_support(op, None)),
                *nn_integers.RULES,
                nn_positions.extreme_position(f32_support(op, None)),
                *nn_composites.RULES,
                nn_linear.outer_product,
                *nn_deconvolution.RULES,
                *nn_convolution.RULES,
                *nn_long_rows.RULES,
                *nn_wide_windows.RULES,
                *nn_resampling.RULES,
                *nn_channels.RULES,
            ],
        )
        apply_rules(op, [fold, *nn_short_axes.RULES, *nn_composites.NORMAL_FORM, *nn_channels.FOLD])
