"""The package holds what the folders hold: a forgotten sub-package or type marker would silently be missing
from a wheel."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = [ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items() if "." in name]


def test_packages_listed() -> None:
    found = {
        ".".join(("ascend_mlir", *init.parent.relative_to(ROOT).parts))
        for top in FOLDERS
        for init in top.rglob("__init__.py")
        if init.parent != ROOT / "tools" / "package"
    }
    assert {*found, "ascend_mlir"} == set(SETUPTOOLS["packages"])


def test_every_top_package_is_marked_as_typed() -> None:
    assert [str(folder) for folder in FOLDERS if not (folder / "py.typed").is_file()] == []


def test_data_files_are_packaged() -> None:
    suffixes = {pattern.rpartition(".")[2] for pattern in SETUPTOOLS["package-data"]["*"]}
    data = {
        path.suffix[1:]
        for top in FOLDERS
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".py", ".pyi", "")
    }
    assert data - {"typed"} <= suffixes


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    absolute = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0]
    plain = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    return {name.partition(".")[0] for name in (*absolute, *plain)}


def test_imports_inside_the_package_are_relative() -> None:
    """A checker that meets a module under two names takes its classes for different types."""
    tops = {folder.name for folder in FOLDERS} | {"ascend_mlir"}
    wrong = {
        str(path.relative_to(ROOT)): names
        for top in FOLDERS
        for path in top.rglob("*.py")
        if "_pb2" not in path.name and path.parent != ROOT / "tools" / "package"
        for names in [_imported(path) & tops]
        if names
    }
    assert wrong == {}


def test_outside_the_package_only_the_package_name_is_imported() -> None:
    tops = {folder.name for folder in FOLDERS}
    files = [p for top in ("tests", "examples", "benchmarks") for p in (ROOT / top).rglob("*.py")]
    assert {str(path): names for path in files for names in [_imported(path) & tops] if names} == {}


@pytest.mark.parametrize("word", ["xdsl", "onnx", "numpy", "google.protobuf"])
def test_atc_help_imports_nothing_heavy(word: str) -> None:
    code = f"""
import sys
from ascend_mlir.tools.atc import main
try:
    main(["--help"])
except SystemExit as done:
    assert done.code == 0
assert {word!r} not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_package_root_is_lazy() -> None:
    code = """
import sys, ascend_mlir
assert not {"xdsl", "onnx", "numpy"} & set(sys.modules)
ascend_mlir.InferenceSession
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_generated_protobuf_modules_are_current(tmp_path: Path) -> None:
    """`make proto` was run after the last change of a .proto file."""
    source = tmp_path / "ascend_mlir" / "runtime" / "om"
    source.mkdir(parents=True)
    names = ("ge_ir", "task")
    for name in names:
        (source / f"{name}.proto").write_bytes((ROOT / "runtime" / "om" / f"{name}.proto").read_bytes())
    files = [f"ascend_mlir/runtime/om/{name}.proto" for name in names]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--pyi_out=.", *files]
    subprocess.run(command, check=True, cwd=tmp_path)
    for name in names:
        for suffix in ("_pb2.py", "_pb2.pyi"):
            made = (source / f"{name}{suffix}").read_text()
            assert made == (ROOT / "runtime" / "om" / f"{name}{suffix}").read_text(), (
                f"run make proto: {name}"
            )
