"""The sub-commands of `atc`: one table. A command's module is imported when it is called, so that `atc --help`
and every other command stay quick.

A module offers one function of the words behind the command's name; it returns the exit status. Errors it
raises are shown by `diagnostics.guarded`: an `AscendError` as its block, anything else as an internal error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final


@dataclass(frozen=True)
class Command:
    """`atc NAME …`: where it is, and what `atc --help` says of it."""

    name: str
    module: str
    help: str
    function: str = "run_command"

    def load(self) -> Callable[[Sequence[str]], int]:
        """The function that takes the words behind the name."""
        return getattr(import_module(f".{self.module}", __package__), self.function)


COMMANDS: Final = (
    Command("convert", "atc_classic", "compile a model; chip, framework and output have defaults", "convert_command"),
    Command("run", "atc_run", "run an offline model on the simulator"),
    Command("op-check", "op_check", "which nodes of a model can be compiled, why not, what would help"),
    Command("precheck", "precheck", "what would stand in the way of a conversion"),
    Command("analyze", "analyze", "what a model consists of and what bounds each layer, as a page"),
    Command("precision-compare", "precision_compare", "an offline model against its source model, layer by layer if asked"),
    Command("verify", "atc_verify", "load an offline model, check it, run it once"),
    Command("validate", "atc_validate", "compare outputs of an offline model with recorded ones"),
    Command("compare", "atc_compare", "what is different between two offline models"),
    Command("profile", "atc_profile", "where the time of an offline model goes"),
    Command("benchmark", "atc_benchmark", "predicted latency and throughput; the simulator's own time"),
)  # fmt: skip
BY_NAME: Final = {command.name: command for command in COMMANDS}


def help_lines() -> list[str]:
    """One line per command for `atc --help`."""
    return [f"  {command.name:<20} {command.help}" for command in COMMANDS]
