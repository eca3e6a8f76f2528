"""`ascend-opt`: read IR of any level (or a model), run passes, print IR.

    ascend-opt model.onnx --compile-to=ascend          everything up to a level
    ascend-opt a.mlir -p 'nn-fold-constants,canonicalize'
    ascend-opt a.mlir --pipeline=ascend-to-davinci     a named part of the compiler

It is xDSL's driver with our dialects and passes (they come by the entry point `xdsl.universe`), so all
flags of `xdsl-opt` work too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar

from xdsl.dialects.builtin import ModuleOp
from xdsl.xdsl_opt_main import xDSLOptMain

from ..runtime.errors import AscendError
from .diagnostics import guarded

LEVELS = ("nn", "ascend", "davinci", "om")


class AscendOptMain(xDSLOptMain):
    """xDSL's driver plus named pipelines and models as input."""

    version_format: ClassVar[str] = "ascend-opt (xDSL {xdsl_version})"

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        self.available_frontends["onnx"] = self._import_onnx

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        chosen = arg_parser.add_mutually_exclusive_group()
        chosen.add_argument("--compile-to", choices=LEVELS, help="run the compiler up to this level")
        chosen.add_argument(
            "--pipeline", metavar="NAME", help="run a named pipeline (a wrong name lists them)"
        )
        arg_parser.add_argument(
            "--soc", default="Ascend310P3", help="target of --compile-to (default: %(default)s)"
        )
        arg_parser.add_argument(
            "--input-shape", metavar="NAME:DIMS;…", help="sizes of a model's inputs, as for atc"
        )

    def setup_pipeline(self) -> None:
        from_model = (self.args.input_file or "").endswith(".onnx") or self.args.frontend == "onnx"
        # The last step, to an offline model, needs the weights and is no pass: the front end takes it.
        before = () if from_model and self.args.compile_to == "om" else self._named_passes()
        if before:
            self.args.passes = ",".join([*before, *([self.args.passes] if self.args.passes else [])])
        try:
            super().setup_pipeline()
        except Exception as error:  # xDSL has no common class for a bad name, option or syntax
            raise AscendError(
                "E10014",
                f"the pass pipeline {self.args.passes!r} is not valid: {error}",
                expected="pass-name{option=value},pass-name, with names that --help lists",
            ) from error

    def _named_passes(self) -> Sequence[str]:
        if self.args.compile_to is None and self.args.pipeline is None:
            return ()
        from ..lowering import pipelines

        if self.args.compile_to is not None:
            return [f"attach-target{{soc={self.args.soc}}}", *pipelines.pipeline_until(self.args.compile_to)]
        if self.args.pipeline not in pipelines.PIPELINES:
            raise AscendError(
                "E10014",
                f"--pipeline={self.args.pipeline} is not a named pipeline",
                expected=f"one of {', '.join(pipelines.PIPELINES)}",
            )
        return pipelines.PIPELINES[self.args.pipeline]

    def _import_onnx(self, stream: IO[bytes]) -> ModuleOp:
        import onnx

        from ..lowering.onnx_importer import import_onnx
        from .atc_shapes import parse_input_shape

        shapes = parse_input_shape(self.args.input_shape) if self.args.input_shape else None
        name = self.args.input_file
        source = Path(name) if name else onnx.load_from_string(stream.read())
        if self.args.compile_to == "om":
            from ..dialects.om import model_to_om
            from ..lowering.pipelines import CompileOptions, compile_model

            compiled = compile_model(source, CompileOptions(soc=self.args.soc, input_shapes=shapes))
            return ModuleOp([model_to_om(compiled.om)])
        return import_onnx(source, input_shapes=shapes).module


def _main(args: Sequence[str] | None) -> int:
    AscendOptMain("Ascend modular optimizer driver", args).run()
    return 0


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(guarded(_main, args))
