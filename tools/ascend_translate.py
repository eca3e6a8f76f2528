"""`ascend-translate`: between files and the levels of the compiler.

    ascend-translate --import-onnx model.onnx -o model.mlir           ONNX → level nn
    ascend-translate --import-om model.om                             offline model → level om
    ascend-translate --emit-om model.mlir --weights model.om -o a.om  level om → offline model
    ascend-translate --disassemble model.om [--kernel K | --task N]   machine code → text
    ascend-translate --assemble kernel.s -o kernel.bin                text → machine code, the same bytes

A listing of a task names the source nodes behind each instruction; the assembler reads over them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runtime.errors import AscendError
from .diagnostics import guarded

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from ..dialects.om import ModelOp, WeightOp, WeightResolver
    from ..runtime.om.model import OmModel, OmTask, WeightPayload

ACTIONS: Final = ("import-onnx", "import-om", "emit-om", "disassemble", "assemble")
_BODY_OP: Final = re.compile(r";\s*op (\d+)\s*$", re.MULTILINE)


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(guarded(_main, args))


def _arguments(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "ascend-translate", description="Translate between files and the levels of the compiler."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    for name in ACTIONS:
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name)
    parser.add_argument("input", nargs="?", help="input file (default: standard input)")
    parser.add_argument("-o", "--output", help="output file (default: standard output)")
    parser.add_argument("--weights", help="file that holds the weights of --emit-om: .om, .onnx or .npz")
    parser.add_argument("--kernel", help="disassemble this kernel only")
    parser.add_argument("--task", type=int, help="disassemble the kernel of this task, with source nodes")
    parser.add_argument("--input-shape", help="sizes of a model's inputs, as for atc")
    return parser.parse_args(args)


def _main(args: Sequence[str] | None) -> int:
    arguments = _arguments(args)
    if arguments.action == "import-onnx":
        _write(arguments.output, _import_onnx(arguments))
    elif arguments.action == "import-om":
        from ..dialects.om import model_to_om
        from ..runtime.om.reader import read_om

        _write(arguments.output, str(model_to_om(read_om(_read(arguments.input)))) + "\n")
    elif arguments.action == "emit-om":
        _emit_om(arguments)
    elif arguments.action == "disassemble":
        _write(arguments.output, _disassemble(arguments))
    else:
        from ..runtime.isa.assembler import assemble

        _write(arguments.output, assemble(_text(arguments.input)))
    return 0


def _read(name: str | None) -> bytes:
    return sys.stdin.buffer.read() if name in (None, "-") else Path(name).read_bytes()


def _text(name: str | None) -> str:
    try:
        return _read(name).decode()
    except UnicodeDecodeError as error:
        raise AscendError(
            "E13005", f"{name or 'standard input'} is not text", expected="UTF-8 text"
        ) from error


def _write(name: str | None, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    if name in (None, "-"):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    Path(name).write_bytes(data)


def _import_onnx(arguments: argparse.Namespace) -> str:
    import onnx

    from ..lowering.onnx_importer import import_onnx
    from .atc_shapes import parse_input_shape

    shapes = parse_input_shape(arguments.input_shape) if arguments.input_shape else None
    source = Path(arguments.input) if arguments.input else onnx.load_from_string(_read(None))
    return str(import_onnx(source, input_shapes=shapes).module) + "\n"


def _emit_om(arguments: argparse.Namespace) -> None:
    from ..dialects.om import om_to_model
    from ..runtime.om.writer import om_bytes, write_om

    op = _model_op(_parse(_text(arguments.input), arguments.input or "stdin"))
    model = om_to_model(op, _weight_resolver(arguments.weights))
    if arguments.output:
        write_om(model, arguments.output)
    else:
        _write(None, om_bytes(model))


def _weight_resolver(name: str | None) -> WeightResolver:
    """Weights from an offline model (by name), or from a model or `.npz` file (by evaluating their blobs)."""
    if name is None:
        return _no_weights
    path = Path(name)
    if path.suffix == ".om":
        from ..dialects.om import payloads_of
        from ..runtime.om.reader import read_om

        return payloads_of(read_om(path))
    return _blob_resolver(path)


def _no_weights(op: WeightOp) -> WeightPayload:
    raise AscendError(
        "E10058",
        f"the bytes of weight {op.weight.data.name!r} are not in the text",
        expected="--weights with the .om, .onnx or .npz file that holds them",
    )


def _blob_resolver(path: Path) -> WeightResolver:
    from ..dialects.nn_attrs import BlobAttr
    from ..lowering.onnx_importer import import_onnx
    from ..runtime.om.model import WeightPayload
    from ..runtime.weights import WeightStore

    store = WeightStore.of_npz(path) if path.suffix == ".npz" else import_onnx(path).weights

    def resolve(op: WeightOp) -> WeightPayload:
        source = op.source
        if not isinstance(source, BlobAttr):
            return _no_weights(op)
        return WeightPayload.measured(lambda: store.evaluate(source.data).tobytes())

    return resolve


def _parse(text: str, name: str) -> ModuleOp:
    from xdsl.context import Context
    from xdsl.dialects.builtin import Builtin
    from xdsl.parser import Parser

    from ..dialects import DIALECTS
    from .universe import ASCEND_UNIVERSE

    context = Context()
    context.load_dialect(Builtin)
    for dialect in DIALECTS:
        context.register_dialect(dialect, ASCEND_UNIVERSE.all_dialects[dialect])
    module = Parser(context, text, name).parse_module()
    module.verify()
    return module


def _model_op(module: ModuleOp) -> ModelOp:
    from ..dialects.om import ModelOp

    models = [op for op in module.ops if isinstance(op, ModelOp)]
    if len(models) != 1:
        raise AscendError("E10041", f"the text holds {len(models)} om.model ops", expected="one")
    return models[0]


def _disassemble(arguments: argparse.Namespace) -> str:
    from ..runtime.isa.disassembler import disassemble
    from ..runtime.om.reader import read_om

    data = _read(arguments.input)
    if data[:4] != b"IMOD":
        return disassemble(data)
    model = read_om(data, digests=False)
    if arguments.task is not None:
        return _task_listing(model, arguments.task)
    kernels = [kernel for kernel in model.kernels if arguments.kernel in (None, kernel.name)]
    if not kernels:
        raise AscendError(
            "E10014",
            f"the model holds no kernel {arguments.kernel!r}"
            if arguments.kernel
            else "the model holds no kernel",
            expected=", ".join(kernel.name for kernel in model.kernels),
        )
    return "\n".join(f"; kernel {kernel.name}\n{disassemble(kernel.code)}" for kernel in kernels)


def _task_listing(model: OmModel, number: int) -> str:
    from ..runtime.isa.disassembler import disassemble

    if not 0 <= number < len(model.tasks):
        raise AscendError(
            "E10014", f"the model has no task {number}", expected=f"0 to {len(model.tasks) - 1}"
        )
    task = model.tasks[number]
    kernel = model.kernel(task.kernel)
    words = " ".join(f"{word:#x}" for word in model.arg_words(task))
    head = f"; task {number}: {task.kernel}, {task.block_dim} blocks, arguments {words}\n"
    if kernel is None:
        return f"{head}; runs on the AI CPU\n"
    return head + _BODY_OP.sub(lambda found: _named(task, int(found[1])), disassemble(kernel.code))


def _named(task: OmTask, body_op: int) -> str:
    nodes = task.sources[body_op] if body_op < len(task.sources) else ()
    return f"; op {body_op} ({', '.join(nodes)})" if nodes else f"; op {body_op}"
