"""ascend-mlir: an open compiler for Ascend NPUs and an instruction-level simulator of the DaVinci AI Core."""
