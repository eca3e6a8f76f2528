"""`ascend-translate`: between files and the levels of the compiler.

    ascend-translate --import-onnx model.onnx -o model.mlir           ONNX → level nn
    ascend-translate --om-to-mlir model.om -o model.mlir              offline model → level om
    ascend-translate --emit-om model.mlir --weights model.om -o a.om  level om → offline model, the same bytes
    ascend-translate --to-json model.om                               header, graph, tasks, schedule as JSON
    ascend-translate --to-svg model.om -o model.svg                   a picture of graph and schedule
    ascend-translate --to-dot model.om | dot -Tpdf -o model.pdf       the same for Graphviz
    ascend-translate --diff a.om b.om                                 graph, weights, code, schedule, cycles
    ascend-translate --disassemble model.om [--kernel K | --task N]   machine code → text
    ascend-translate --assemble kernel.s -o kernel.bin                text → machine code, the same bytes

A listing of a task names the source nodes behind each instruction; the assembler reads over them. `--diff` ends
with status 0 when there is no difference, else with 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runtime.errors import AscendError
from .diagnostics import guarded

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from ..dialects.om import ModelOp, ProfilesOp, WeightOp, WeightResolver
    from ..runtime.om.model import OmModel, OmTask, WeightPayload

_BODY_OP: Final = re.compile(r";\s*op (\d+)\s*$", re.MULTILINE)


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(guarded(_main, args))


def _arguments(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "ascend-translate",
        description=(__doc__ or "").partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = parser.add_mutually_exclusive_group(required=True)
    for name in ACTIONS:
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name)
    parser.add_argument("input", nargs="?", help="input file (default: standard input)")
    parser.add_argument("second", nargs="?", help="the other offline model of --diff")
    parser.add_argument("-o", "--output", help="output file (default: standard output)")
    parser.add_argument("--weights", help="file that holds the weights of --emit-om: .om, .onnx or .npz")
    parser.add_argument("--kernel", help="disassemble this kernel only")
    parser.add_argument("--task", type=int, help="disassemble the kernel of this task, with source nodes")
    parser.add_argument("--input-shape", help="sizes of a model's inputs, as for atc")
    parser.add_argument(
        "--part", type=int, help="which model or profile of a file that holds several, from 0"
    )
    parser.add_argument("--json", action="store_true", help="--diff as JSON")
    parser.add_argument("--no-cycles", action="store_true", help="do not ask the timing model")
    return parser.parse_args(args)


def _main(args: Sequence[str] | None) -> int:
    arguments = _arguments(args)
    if arguments.second is not None and arguments.action != "diff":
        raise AscendError(
            "E10014", f"--{arguments.action} takes one file", hint=f"leave out {arguments.second}"
        )
    return ACTIONS[arguments.action](arguments)


def _om_to_mlir(arguments: argparse.Namespace) -> int:
    from ..dialects.om import model_to_om, profiles_to_om
    from ..runtime.om.model import OmModel
    from ..runtime.om.reader import read_offline

    source = _read(None) if arguments.input in (None, "-") else Path(arguments.input)
    found = read_offline(source, part=arguments.part)
    text = model_to_om(found) if isinstance(found, OmModel) else profiles_to_om(found)
    _write(arguments.output, str(text) + "\n")
    return 0


def _om(arguments: argparse.Namespace, *, digests: bool = True) -> OmModel:
    """The offline model that is the input: a path is mapped, standard input is read."""
    from ..runtime.om.reader import read_om

    name = arguments.input
    return read_om(_read(None) if name in (None, "-") else Path(name), digests=digests, part=arguments.part)


def _assemble(arguments: argparse.Namespace) -> int:
    from ..runtime.isa.assembler import assemble

    _write(arguments.output, assemble(_text(arguments.input)))
    return 0


def _to_json(arguments: argparse.Namespace) -> int:
    import json

    from .om_json import om_json

    source = _read(None) if arguments.input in (None, "-") else Path(arguments.input)
    found = om_json(source, cycles=not arguments.no_cycles)
    _write(arguments.output, json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return 0


def _to_picture(arguments: argparse.Namespace) -> int:
    from .om_cycles import cycles_by_task
    from .om_picture import dot_text, picture_of

    model = _om(arguments, digests=False)
    cycles = None if arguments.no_cycles else cycles_by_task(model)[0]
    picture = picture_of(model, cycles)
    if arguments.action == "to-dot":
        _write(arguments.output, dot_text(picture))
        return 0
    from .om_svg import svg_text

    _write(arguments.output, svg_text(picture))
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from ..runtime.om.reader import read_om
    from .om_cycles import cycles_by_task
    from .om_diff import diff_json, diff_text, differences

    if arguments.input is None or arguments.second is None:
        raise AscendError("E10014", "--diff compares two files", expected="--diff a.om b.om")
    names = (str(arguments.input), str(arguments.second))
    one, other = (read_om(Path(name), digests=False, part=arguments.part) for name in names)
    cycles = [None if arguments.no_cycles else cycles_by_task(model)[0] for model in (one, other)]
    changes = differences(one, other, (cycles[0], cycles[1]))
    _write(arguments.output, diff_json(changes) if arguments.json else diff_text(changes, names))
    return int(bool(changes))


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


def _import_onnx(arguments: argparse.Namespace) -> int:
    import onnx

    from ..lowering.onnx_importer import import_onnx
    from .atc_shapes import parse_input_shape

    shapes = parse_input_shape(arguments.input_shape) if arguments.input_shape else None
    source = Path(arguments.input) if arguments.input else onnx.load_from_string(_read(None))
    _write(arguments.output, str(import_onnx(source, input_shapes=shapes).module) + "\n")
    return 0


def _emit_om(arguments: argparse.Namespace) -> int:
    from ..dialects.om import ModelOp, om_to_model, om_to_profiles
    from ..runtime.om.writer import om_bytes, write_om

    op = offline_op(_text(arguments.input), arguments.input or "stdin")
    if isinstance(op, ModelOp):
        model = om_to_model(op, _weight_resolver(arguments.weights))
    else:
        model = om_to_profiles(op, _profile_resolvers(arguments.weights, len(op.models)))
    if arguments.output:
        write_om(model, arguments.output)
    else:
        _write(None, om_bytes(model))
    return 0


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


def _profile_resolvers(name: str | None, count: int) -> list[WeightResolver]:
    """A resolver for each profile of a model: names of weights are those of its own."""
    if name is None or Path(name).suffix != ".om":
        return [_weight_resolver(name)] * count
    from ..dialects.om import payloads_of
    from ..runtime.om.model import OmModel
    from ..runtime.om.reader import read_offline

    found = read_offline(Path(name))
    branches = (found,) if isinstance(found, OmModel) else found.branches
    if len(branches) != count:
        raise AscendError(
            "E10058", f"{name} holds {len(branches)} models, the text {count} profiles", expected="as many"
        )
    return [payloads_of(branch) for branch in branches]


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


def offline_op(text: str, name: str = "text") -> ModelOp | ProfilesOp:
    """The one `om.model` or `om.profiles` of a text at level om."""
    from ..dialects.om import ModelOp, ProfilesOp

    models = [op for op in _parse(text, name).ops if isinstance(op, ModelOp | ProfilesOp)]
    if len(models) != 1:
        raise AscendError("E10041", f"the text holds {len(models)} om.model ops", expected="one")
    return models[0]


def model_of_text(text: str, name: str = "text") -> ModelOp:
    """The one `om.model` of a text."""
    from ..dialects.om import ModelOp

    op = offline_op(text, name)
    if not isinstance(op, ModelOp):
        raise AscendError("E10041", "the text holds om.profiles", expected="an om.model")
    return op


def _disassemble(arguments: argparse.Namespace) -> int:
    from ..runtime.isa.disassembler import disassemble

    name = arguments.input
    data = _read(None) if name in (None, "-") else _first_bytes(Path(name))
    if data[:4] != b"IMOD":
        _write(arguments.output, disassemble(data if name in (None, "-") else _read(name)))
        return 0
    model = _from_bytes(data, arguments.part) if name in (None, "-") else _om(arguments, digests=False)
    _write(arguments.output, _listing(model, arguments))
    return 0


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4)


def _from_bytes(data: bytes, part: int | None) -> OmModel:
    from ..runtime.om.reader import read_om

    return read_om(data, digests=False, part=part)


def _listing(model: OmModel, arguments: argparse.Namespace) -> str:
    from ..runtime.isa.disassembler import disassemble

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


ACTIONS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "import-onnx": _import_onnx,
    "om-to-mlir": _om_to_mlir,
    "import-om": _om_to_mlir,
    "emit-om": _emit_om,
    "to-json": _to_json,
    "to-dot": _to_picture,
    "to-svg": _to_picture,
    "diff": _diff,
    "disassemble": _disassemble,
    "assemble": _assemble,
}
"""What `ascend-translate` does, by its flag (`--import-om` is an older name of `--om-to-mlir`)."""
