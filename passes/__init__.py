"""The passes: name → (module of this package, class). A pass's file is its name with underscores; a new pass
is one line here."""

from __future__ import annotations

from typing import Final

PASSES: Final[dict[str, tuple[str, str]]] = {
    "nn-fold-batch-norm": ("nn_fold_batch_norm", "NNFoldBatchNormPass"),
    "nn-fold-constants": ("nn_fold_constants", "NNFoldConstantsPass"),
    "nn-infer-shapes": ("nn_infer_shapes", "NNInferShapesPass"),
    "nn-simplify": ("nn_simplify", "NNSimplifyPass"),
}
