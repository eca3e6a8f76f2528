"""The global choice of layouts as an integer program.

One binary variable per option of each op, exactly one of them chosen; one variable per (value, layout) that
some option wants, which is 1 when a TransData writes the value in that layout. A consumer's wish must be met
by the producer's choice or by a TransData, and a TransData is paid once however many consumers share it:

    minimise  Σ cost(option) · x(option) + Σ cost(value, layout) · t(value, layout)
    subject   Σ x(options of one op) = 1
              Σ x(options of a consumer that want value in layout) ≤ Σ x(options of the producer that give
              layout) + t(value, layout)

The matrix is close to a network, so HiGHS solves models of hundreds of ops in milliseconds, without branching
in practice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..dialects.layouts import ND, Format, Layout
from .layout_options import Option, trans_data_cost


@dataclass
class Problem:
    """Ops with their options; values that come from elsewhere are ND."""

    ops: Sequence[Operation]
    options: Mapping[Operation, list[Option]]
    constants: set[SSAValue]
    results: Sequence[SSAValue]
    """Model outputs: wanted in ND."""
    rows: list[tuple[dict[int, float], float, float]] = field(
        default_factory=list[tuple[dict[int, float], float, float]]
    )
    costs: list[float] = field(default_factory=list[float])
    first: dict[Operation, int] = field(default_factory=dict[Operation, int])
    """Variable of an op's first option."""
    transfers: dict[tuple[SSAValue, Layout], int] = field(default_factory=dict[tuple[SSAValue, Layout], int])
    """Variable of a TransData."""

    def solve(self) -> dict[Operation, Option]:
        """The options of a cheapest assignment."""
        first = self.first
        for op in self.ops:
            first[op] = len(self.costs)
            # Among equal options the earlier one: costs differ by an amount too small to matter but not to be
            # seen.
            self.costs += [o.cost + 1e-3 * i for i, o in enumerate(self.options[op])]
            self.rows.append(({first[op] + i: 1.0 for i in range(len(self.options[op]))}, 1.0, 1.0))
        binaries = len(self.costs)
        for op in self.ops:
            for index, value in enumerate(op.operands):
                if value not in self.constants:
                    self._wish(op, index, value)
        for value in self.results:
            if value not in self.constants:
                self._meet(value, ND, {}, 1.0)
        if not self.costs:  # nothing to compute: outputs are inputs or constants
            return {}
        chosen = _minimise(np.array(self.costs), self.rows, binaries)
        return {
            op: self.options[op][int(np.argmax(chosen[first[op] : first[op] + len(self.options[op])]))]
            for op in self.ops
        }

    def _wish(self, op: Operation, index: int, value: SSAValue) -> None:
        wanted: dict[Layout, list[int]] = {}
        for i, option in enumerate(self.options[op]):
            wanted.setdefault(option.operands[index], []).append(self.first[op] + i)
        for layout, variables in wanted.items():
            self._meet(value, layout, dict.fromkeys(variables, -1.0), 0.0)

    def _meet(self, value: SSAValue, layout: Layout, row: dict[int, float], needed: float) -> None:
        """produced + transferred - wishes >= needed"""
        producer = value.owner
        if isinstance(producer, Operation) and producer in self.first:
            for i, option in enumerate(self.options[producer]):
                if option.result == layout:
                    row[self.first[producer] + i] = row.get(self.first[producer] + i, 0.0) + 1.0
        elif layout == ND:
            return
        key = (value, layout)
        if key not in self.transfers:
            self.transfers[key] = len(self.costs)
            self.costs.append(trans_data_cost(value, layout))
            self._detour(value, layout)
        row[self.transfers[key]] = 1.0
        self.rows.append((row, needed, np.inf))

    def _detour(self, value: SSAValue, layout: Layout) -> None:
        """No kernel turns one blocked format into another: such a pair costs a second TransData, through ND.

        detour >= transferred + produced in the other format - 1
        """
        producer = value.owner
        if not isinstance(producer, Operation) or producer not in self.first:
            return
        row: dict[int, float] = {}
        for i, option in enumerate(self.options[producer]):
            if needs_detour(option.result, layout):
                row[self.first[producer] + i] = -1.0
        if row:
            row[self.transfers[value, layout]] = -1.0
            row[len(self.costs)] = 1.0
            self.costs.append(trans_data_cost(value, ND))
            self.rows.append((row, -1.0, np.inf))


def needs_detour(source: Layout, target: Layout) -> bool:
    """Kernels convert between ND and a blocked format, and between NC1HWC0 and NHWC."""
    pair = {source.format, target.format}
    return len(pair) == 2 and Format.ND not in pair and pair != {Format.NC1HWC0, Format.NHWC}


def _minimise(
    costs: np.ndarray[Any, np.dtype[np.float64]],
    rows: list[tuple[dict[int, float], float, float]],
    binaries: int,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]
    from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]

    index = [(r, c, v) for r, (row, _, _) in enumerate(rows) for c, v in row.items()]
    data = [v for _, _, v in index]
    matrix: Any = csr_array(
        (data, ([r for r, _, _ in index], [c for _, c, _ in index])), shape=(len(rows), len(costs))
    )
    integrality = np.zeros(len(costs))
    integrality[:binaries] = 1
    limits: Any = [low for _, low, _ in rows], [high for _, _, high in rows]
    milp: Any = vars(optimize)["milp"]  # untyped package
    solution = milp(
        costs,
        integrality=integrality,
        bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(matrix, *limits),
    )
    if solution.x is None:
        raise RuntimeError(f"layout assignment has no solution: {solution.message}")
    return solution.x
