"""What `atc` writes beside the `.om` when it is asked to: the kernels (`--op_debug_level`, `--debug_dir`), and which
operators were fused (`--export_compile_stat`).

Both are written behind the `.om`, so that a conversion that fails leaves nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..runtime.errors import AscendError
from .diagnostics import WORK_PATH

if TYPE_CHECKING:
    from ..lowering.pipelines import CompiledModel
    from ..runtime.om.model import OmKernel, OmModel, OmTask
    from .atc_flags import ParsedFlags

KERNELS: Final = "kernel_meta"
FUSIONS: Final = "fusion_result.json"
SESSION: Final = "session_and_graph_id_0"
SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "0": (),
    "1": (".o", ".json", ".s"),
    "2": (".o", ".json", ".s"),
    "3": (".o", ".json"),
    "4": (".o", ".json", ".s"),
}
"""Files of a kernel by `--op_debug_level`. The public tool has the source of a kernel where this one has its assembly;
levels differ in how its compiler is called, and no compiler is called here."""


def check_side_files(flags: ParsedFlags) -> None:
    """The folders they go to, before the work: `--debug_dir` must be there, as in the public tool."""
    from .atc_checks import check_writable

    if "debug_dir" in flags and not Path(flags.get("debug_dir")).is_dir():
        raise AscendError(
            "E13000", f"Value {flags.get('debug_dir')} for parameter --debug_dir is invalid: there is no such folder",
            expected="a folder", hint="make it, or leave --debug_dir out",
        )  # fmt: skip
    if SUFFIXES[flags.get("op_debug_level", "0")]:
        check_writable(_kernel_folder(flags) / "kernel.o", "debug_dir")
    elif "debug_dir" in flags:
        flags.note("--debug_dir: without --op_debug_level no kernel files are written")
    if flags.get("export_compile_stat", "0") != "0":
        check_writable(_fusion_path(), "export_compile_stat")


def write_side_files(flags: ParsedFlags, models: Sequence[CompiledModel]) -> list[Path]:
    """Writes what the flags ask for; the paths. There are several models where `--singleop` names several operators."""
    wanted: dict[Path, str | bytes] = {}
    suffixes = SUFFIXES[flags.get("op_debug_level", "0")]
    if suffixes:
        for om, kernel in ((model.om, kernel) for model in models for kernel in model.om.kernels):
            for suffix, content in kernel_files(om, kernel).items():
                if suffix in suffixes:
                    wanted[_kernel_folder(flags) / f"{kernel.name}{suffix}"] = content
    if flags.get("export_compile_stat", "0") != "0":
        wanted[_fusion_path()] = _json(
            {f"{SESSION}_{number}": fusions(model) for number, model in enumerate(models)}
        )
    for path, content in wanted.items():
        data = content.encode() if isinstance(content, str) else content
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise AscendError("E13004", f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return list(wanted)


def _kernel_folder(flags: ParsedFlags) -> Path:
    return Path(flags.get("debug_dir", KERNELS))


def _fusion_path() -> Path:
    """In the folder that the public tool's variable names (in its place there), else here."""
    folder = os.environ.get(WORK_PATH)
    return Path(folder, "FE", str(os.getpid()), FUSIONS) if folder else Path(FUSIONS)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def kernel_files(model: OmModel, kernel: OmKernel) -> dict[str, str | bytes]:
    """A kernel's image, what is known of it, and its assembly, by suffix. `ascend-translate --assemble` makes the image
    from the assembly."""
    from ..runtime.isa.disassembler import disassemble

    tasks = [task for task in model.tasks if task.is_ai_core and task.kernel == kernel.name]
    return {
        ".o": kernel.code,
        ".json": _json(
            {
                "kernelName": kernel.name,
                "binFileName": kernel.name,
                "binFileSuffix": ".o",
                "sha256": hashlib.sha256(kernel.code).hexdigest(),
                "machineCode": model.machine_code,
                "blockDim": max((task.block_dim for task in tasks), default=0),
                "launches": [_launch(model, task) for task in tasks],
            }
        ),
        ".s": disassemble(kernel.code),
    }


def _launch(model: OmModel, task: OmTask) -> dict[str, Any]:
    op = model.graph[task.op_index]
    nodes = dict.fromkeys(name for names in task.sources for name in names)
    return {
        "op": op.name,
        "type": op.type,
        "nodes": list(nodes),
        "inputs": [f"{desc.dtype} {desc.format} {list(desc.storage_shape)}" for desc in op.input_descs],
        "outputs": [f"{desc.dtype} {desc.format} {list(desc.storage_shape)}" for desc in op.output_descs],
    }


def fusions(compiled: CompiledModel) -> dict[str, Any]:
    """What was fused, in the public tool's form. `graph_fusion`: passes over the graph that took operators away, and
    how many; `ub_fusion`: kinds of kernels that compute several nodes of the model, and how many operators are of each."""
    from ..runtime.om.format import ATTR_FUSED

    fused = Counter(op.type for op in compiled.om.graph if op.attrs.get(ATTR_FUSED))
    return {
        "graph_fusion": {name: _times(count) for name, count in compiled.removed.items()},
        "ub_fusion": {kind: _times(count) for kind, count in sorted(fused.items())},
    }


def _times(count: int) -> dict[str, int]:
    return {"effect_times": count, "match_times": count, "repository_hit_times": 0}
