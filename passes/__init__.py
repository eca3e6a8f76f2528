"""The passes: name → (module of this package, class). A pass's file is its name with underscores; a new pass
is one line here."""

from __future__ import annotations

from typing import Final

PASSES: Final[dict[str, tuple[str, str]]] = {
    "attach-target": ("attach_target", "AttachTargetPass"),
    "nn-border-types": ("nn_border_types", "NNBorderTypesPass"),
    "nn-insert-aipp": ("nn_insert_aipp", "NNInsertAippPass"),
    "nn-infer-shapes": ("nn_infer_shapes", "NNInferShapesPass"),
    "nn-keep-infinities": ("nn_keep_infinities", "NNKeepInfinitiesPass"),
    "nn-narrow-types": ("nn_narrow_types", "NNNarrowTypesPass"),
    "nn-fold-constants": ("nn_fold_constants", "NNFoldConstantsPass"),
    "nn-fold-batch-norm": ("nn_fold_batch_norm", "NNFoldBatchNormPass"),
    "nn-simplify": ("nn_simplify", "NNSimplifyPass"),
    "nn-form-attention": ("nn_form_attention", "NNFormAttentionPass"),
    "nn-decompose": ("nn_decompose", "NNDecomposePass"),
    "nn-convert-precision": ("nn_convert_precision", "NNConvertPrecisionPass"),
    "nn-form-sort": ("nn_form_sort", "NNFormSortPass"),
    "nn-split-terms": ("nn_split_terms", "NNSplitTermsPass"),
    "nn-fuse-groups": ("nn_fuse_groups", "NNFuseGroupsPass"),
    "check-nn": ("check_nn", "CheckNNPass"),
    "convert-nn-to-ascend": ("..lowering.nn_to_ascend", "ConvertNNToAscendPass"),
    "ascend-assign-layouts": ("ascend_assign_layouts", "AscendAssignLayoutsPass"),
    "ascend-split-bias": ("ascend_split_bias", "AscendSplitBiasPass"),
    "ascend-split-reductions": ("ascend_split_reductions", "AscendSplitReductionsPass"),
    "check-supported": ("check_supported", "CheckSupportedPass"),
    "check-ascend": ("check_ascend", "CheckAscendPass"),
    "ascend-choose-schedule": ("ascend_choose_schedule", "AscendChooseSchedulePass"),
    "ascend-prefetch-weights": ("ascend_prefetch_weights", "AscendPrefetchWeightsPass"),
    "ascend-to-davinci": ("..lowering.ascend_to_davinci", "AscendToDavinciPass"),
    "davinci-double-buffer": ("davinci_double_buffer", "DavinciDoubleBufferPass"),
    "davinci-hoist-scalars": ("davinci_hoist_scalars", "DavinciHoistScalarsPass"),
    "davinci-allocate-buffers": ("davinci_allocate_buffers", "DavinciAllocateBuffersPass"),
    "davinci-insert-sync": ("davinci_insert_sync", "DavinciInsertSyncPass"),
    "davinci-materialize-state": ("davinci_materialize_state", "DavinciMaterializeStatePass"),
    "davinci-lower-addresses": ("davinci_lower_addresses", "DavinciLowerAddressesPass"),
    "davinci-reduce-strength": ("davinci_reduce_strength", "DavinciReduceStrengthPass"),
    "davinci-tile-rings": ("davinci_tile_rings", "DavinciTileRingsPass"),
    "davinci-sink-scalars": ("davinci_sink_scalars", "DavinciSinkScalarsPass"),
    "davinci-allocate-registers": ("davinci_allocate_registers", "DavinciAllocateRegistersPass"),
    "plan-memory": ("plan_memory", "PlanMemoryPass"),
}
