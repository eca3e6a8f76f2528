"""What happens when a program breaks a rule of the machine: the run ends with a `SimulatorFault`."""

from __future__ import annotations

from ..errors import AscendError
from ..isa.disassembler import instruction_text
from ..isa.record import Decoded


class SimulatorFault(AscendError):
    """A broken machine rule: kernel, source nodes where they are known, instruction, operand, the rule with its limit."""

    def __init__(
        self,
        record: Decoded | None,
        operand: str,
        rule: str,
        *,
        kernel: str = "",
        block: int | None = None,
        core: str = "",
        nodes: tuple[str, ...] = (),
    ) -> None:
        self.record = record
        self.operand = operand
        self.rule = rule
        self.kernel = kernel
        self.block = block
        self.core = core
        self.nodes = nodes
        super().__init__("E43001", self._text())

    @property
    def address(self) -> int | None:
        """Byte address of the instruction in its kernel."""
        return None if self.record is None else self.record.address

    def _text(self) -> str:
        where = "the simulated AI Core stopped"
        if self.kernel:
            where += f" in kernel {self.kernel}"
        if self.block is not None:
            where += f", block {self.block}"
        if self.core:
            where += f", {self.core}"
        if self.record is not None:
            where += f", at {self.record.address:04x} {instruction_text(self.record)}"
        if self.nodes:
            where += f" (of {', '.join(self.nodes)})"
        return f"{where}: {self.operand + ': ' if self.operand else ''}{self.rule}"

    def placed(self, kernel: str, block: int, core: str = "") -> SimulatorFault:
        """The same fault, saying in which kernel and block, and on which of the block's cores."""
        known = core or self.core
        return SimulatorFault(
            self.record, self.operand, self.rule, kernel=kernel, block=block, core=known, nodes=self.nodes
        )

    def of(self, nodes: tuple[str, ...]) -> SimulatorFault:
        """The same fault, saying which nodes of the source model the instruction stands for."""
        return SimulatorFault(
            self.record,
            self.operand,
            self.rule,
            kernel=self.kernel,
            block=self.block,
            core=self.core,
            nodes=nodes,
        )
