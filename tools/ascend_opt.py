"""`ascend-opt`: read IR of any level (or a model), run passes, print IR.

    ascend-opt model.onnx --compile-to=ascend          everything up to a level
    ascend-opt a.mlir --compile-to=davinci             the same from text, whatever level it is at
    ascend-opt a.mlir --compile-to=om --weights=model.onnx
    ascend-opt a.mlir -p 'nn-fold-constants,canonicalize'
    ascend-opt a.mlir --pipeline=ascend-to-davinci     a named part of the compiler

It is xDSL's driver with our dialects and passes (they come by the entry point `xdsl.universe`), so all
flags of `xdsl-opt` work too: `--print-between-passes` shows every step, `--print-debuginfo` the source nodes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Final

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.xdsl_opt_main import xDSLOptMain

from ..runtime.errors import AscendError
from .diagnostics import guarded

if TYPE_CHECKING:
    from ..runtime.weights import WeightStore

STOPS: Final = ("nn", "ascend", "davinci", "code", "om")


class AscendOptMain(xDSLOptMain):
    """xDSL's driver plus named pipelines and models as input."""

    version_format: ClassVar[str] = "ascend-opt (xDSL {xdsl_version})"
    _weights: WeightStore | None = None

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        self.available_frontends["onnx"] = self._import_onnx

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        chosen = arg_parser.add_mutually_exclusive_group()
        chosen.add_argument(
            "--compile-to",
            choices=STOPS,
            help="run the compiler from where the input is to this level; code: kernels as they are encoded",
        )
        chosen.add_argument(
            "--pipeline", metavar="NAME", help="run a named pipeline (a wrong name lists them)"
        )
        arg_parser.add_argument(
            "--soc", help="target of --compile-to (default: the module's, else Ascend310P3)"
        )
        arg_parser.add_argument(
            "--input-shape", metavar="NAME:DIMS;…", help="sizes of a model's inputs, as for atc"
        )
        arg_parser.add_argument(
            "--weights", metavar="FILE", help=".onnx or .npz with the weights of text, for --compile-to=om"
        )

    def setup_pipeline(self) -> None:
        if self.args.pipeline is not None:
            self._prepend(_named_passes(self.args.pipeline))
        if self.args.compile_to is None:
            self._parse_pipeline()

    def apply_passes(self, prog: ModuleOp) -> None:
        if self.args.compile_to is None:
            super().apply_passes(prog)
            return
        user_passes = self.args.passes
        self._prepend(self._missing_passes(prog))
        self._parse_pipeline()
        self.args.passes = user_passes  # the next part of a split input starts afresh
        super().apply_passes(prog)
        if self.args.compile_to == "om":
            self._encode(prog)

    def prepare_input(self) -> tuple[list[tuple[IO[bytes], int]], str]:
        try:
            return super().prepare_input()
        except ValueError as error:
            known = ", ".join(f".{name}" for name in self.available_frontends)
            raise AscendError("E10014", str(error), expected=f"one of {known}, or --frontend") from error

    def _prepend(self, passes: Sequence[str]) -> None:
        self.args.passes = ",".join([*passes, *([self.args.passes] if self.args.passes else [])])

    def _parse_pipeline(self) -> None:
        try:
            super().setup_pipeline()
        except Exception as error:  # xDSL has no common class for a bad name, option or syntax
            raise AscendError(
                "E10014",
                f"the pass pipeline {self.args.passes!r} is not valid: {error}",
                expected="pass-name{option=value},pass-name, with names that --help lists",
            ) from error

    def _missing_passes(self, prog: ModuleOp) -> list[str]:
        """The passes between the level that the module is at and the one asked for."""
        from ..lowering import pipelines

        stop, start = self.args.compile_to, pipelines.level_of(prog)
        if start and STOPS.index(start) > STOPS.index(stop):
            raise AscendError(
                "E10014",
                f"the input is at level {start}, --compile-to={stop} is before it",
                expected="a later level",
            )
        attribute = prog.attributes.get("ascend.target")
        target = attribute.data if isinstance(attribute, StringAttr) else None
        wanted = self.args.soc or target or "Ascend310P3"
        if start and target not in (None, wanted):
            raise AscendError(
                "E10014", f"the input was made for {target}, not {wanted}", expected=f"--soc={target}"
            )
        return [f"attach-target{{soc={wanted}}}", *pipelines.pipeline_until(stop, start)]

    def _encode(self, prog: ModuleOp) -> None:
        """The last step, from passes to bytes: it needs the weights, so it is no pass."""
        from ..lowering.pipelines import encoded_module

        if any(op.name == "om.model" for op in prog.body.block.ops):
            return
        name = Path(self.args.input_file).stem if self.args.input_file else "model"
        if self.args.print_between_passes:
            print(f"IR after {self.pipeline.passes[-1].name}:\n{prog}\n\n\n\n")
        encoded = encoded_module(prog, self._weight_store(), name)
        for op in list(prog.body.block.ops):
            op.detach()
        prog.attributes.clear()
        for op in list(encoded.body.block.ops):
            op.detach()
            prog.body.block.add_op(op)

    def _weight_store(self) -> WeightStore:
        from ..lowering.onnx_importer import import_onnx
        from ..runtime.weights import WeightStore

        if self._weights is not None:
            return self._weights
        if self.args.weights is None:
            return WeightStore()
        path = Path(self.args.weights)
        return WeightStore.of_npz(path) if path.suffix == ".npz" else import_onnx(path).weights

    def _import_onnx(self, stream: IO[bytes]) -> ModuleOp:
        import onnx

        from ..lowering.onnx_importer import import_onnx
        from .atc_shapes import parse_input_shape

        shapes = parse_input_shape(self.args.input_shape) if self.args.input_shape else None
        name = self.args.input_file
        source = Path(name) if name else onnx.load_from_string(stream.read())
        imported = import_onnx(source, input_shapes=shapes)
        self._weights = imported.weights
        return imported.module


def _named_passes(name: str) -> Sequence[str]:
    from ..lowering.pipelines import PIPELINES

    if name not in PIPELINES:
        raise AscendError(
            "E10014", f"--pipeline={name} is not a named pipeline", expected=f"one of {', '.join(PIPELINES)}"
        )
    return PIPELINES[name]


def _main(args: Sequence[str] | None) -> int:
    AscendOptMain("Ascend modular optimizer driver", args).run()
    return 0


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(guarded(_main, args))
