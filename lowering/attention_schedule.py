"""Tiles of an attention kernel: which fit the memories of a core, and what they cost.

A core computes blocks of `q` fractals of query rows.  It takes the keys `k` fractals at a time: all of them where the
scores of the block fit UB, so that they are computed once; else pieces, and the scores twice (decision 0026).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from ..runtime.soc import Soc
from .attention_problem import AttentionProblem
from .cube_problem import FRACTAL, UNIT, ceil_div

_MOST_REPEATS = 255
_WIDE = 2 * FRACTAL  # bytes of a fractal of f32


@dataclass(frozen=True)
class AttentionSchedule:
    """Sizes in fractals; items × rows blocks share the work."""

    split_items: int
    split_rows: int
    q: int  # query rows of a block
    k: int  # keys whose scores are in UB at once
    step: int  # keys of one product
    resident: int  # 1: keys and values of an item stay in L1; 0: loaded with every piece
    depth: int  # slots of what is in L1 and UB

    @property
    def blocks(self) -> int:
        return self.split_items * self.split_rows

    def as_dict(self) -> dict[str, int | str]:
        """The schedule attribute."""
        return dict(asdict(self))


def ub_bytes(p: AttentionProblem, s: AttentionSchedule) -> int:
    """Bytes of UB: scores in f32, probabilities and mask in f16, maxima, the result in f32 and f16, ones."""
    scores = s.q * s.k * _WIDE
    halves = s.q * s.k * FRACTAL * (1 + (p.mask_strides is not None) * s.depth)
    largest = 2 * s.q * 8 * UNIT
    result = s.q * ((p.e1 + 1) * _WIDE + p.e1 * FRACTAL * s.depth)
    return scores + halves + largest + result + 3 * FRACTAL


def l1_bytes(p: AttentionProblem, s: AttentionSchedule) -> int:
    """Bytes of L1: keys and values, query rows, probabilities of one product, ones."""
    keys = (p.n1 if s.resident else s.k) * (p.d1 + p.e1) * FRACTAL * s.depth
    return keys + s.q * (p.d1 + s.k) * FRACTAL * 2 + 2 * FRACTAL


def fits(p: AttentionProblem, s: AttentionSchedule, soc: Soc) -> bool:
    """Whether all memories hold what the kernel asks for, and no field of an instruction is exceeded."""
    size = {name: buffer.size for name, buffer in soc.core.buffers.items()}
    ones = s.step + (p.key_tail > 0)
    pieces = s.k < p.n1
    return (
        s.q * p.d1 <= _MOST_REPEATS
        and s.step * max(s.q, p.d1, p.e1) <= _MOST_REPEATS
        and s.q * 16 <= _MOST_REPEATS
        and 2 * s.step * (p.d1 + s.q) * FRACTAL <= size["l0a"]
        and (2 * s.q * p.d1 + 2 * s.step * p.e1 + ones) * FRACTAL <= size["l0b"]
        and (2 * s.q * s.step + 2 * s.q * (p.e1 + 1)) * _WIDE <= size["l0c"]
        and ub_bytes(p, s) <= size["ub"]
        and l1_bytes(p, s) <= size["l1"]
        and s.k * 4 <= _MOST_REPEATS
        and (not pieces or s.k % s.step == 0)
    )


def _splits(p: AttentionProblem, cores: int) -> list[tuple[int, int]]:
    """(items, rows) that need the fewest rounds of query fractals, among equals the fewest parts of rows."""
    found: dict[int, tuple[int, int]] = {}
    for items in range(1, min(p.items, cores) + 1):
        rows = min(p.m1, cores // items)
        rounds = ceil_div(p.items, items) * ceil_div(p.m1, rows)
        if rounds not in found or items > found[rounds][0]:
            found[rounds] = (items, rows)
    return [found[rounds] for rounds in sorted(found)[:2]]


def fitting(p: AttentionProblem, soc: Soc) -> list[AttentionSchedule]:
    """Schedules that fit, of each split the ones worth a look."""
    return list(_candidates(p, soc))


def _candidates(p: AttentionProblem, soc: Soc) -> Iterator[AttentionSchedule]:
    for items, rows in _splits(p, soc.cores):
        share = ceil_div(p.m1, rows)
        for q in sorted({ceil_div(share, parts) for parts in range(1, share + 1)}):
            yield from _of_block(p, AttentionSchedule(items, rows, q, p.n1, p.n1, 1, 2), soc)


def _of_block(p: AttentionProblem, s: AttentionSchedule, soc: Soc) -> Iterator[AttentionSchedule]:
    """All keys at once if that fits with these query rows, and the largest pieces that do."""
    pieces = 0
    for k in dict.fromkeys((p.n1, *(size for size in (32, 24, 16, 12, 8, 4, 2, 1) if size < p.n1))):
        found = _of_keys(p, replace(s, k=k), soc)
        if found is None:
            continue
        yield found
        pieces += k < p.n1
        if k == p.n1 or pieces == 2:
            return


def _of_keys(p: AttentionProblem, s: AttentionSchedule, soc: Soc) -> AttentionSchedule | None:
    """The longest products, and what may stay in L1."""
    for step in sorted({ceil_div(s.k, parts) for parts in range(1, s.k + 1)}, reverse=True):
        for resident, depth in ((1, 2), (1, 1), (0, 2)):
            found = replace(s, step=step, resident=resident, depth=depth)
            if (resident or s.k < p.n1) and fits(p, found, soc):
                return found
    return None


def estimate(p: AttentionProblem, s: AttentionSchedule, soc: Soc) -> float:
    """Cycles of one core, roughly: keys and values on their way in, what the vector unit does, latencies of chains."""
    items = ceil_div(p.items, s.split_items)
    blocks = items * ceil_div(ceil_div(p.m1, s.split_rows), s.q)
    pieces = ceil_div(p.n1, s.k)
    masked = p.mask_strides is not None
    repeats = s.q * 4  # of one fractal of keys
    passes = 5.5 + (p.scale != 1.0) + 3 * masked + (pieces > 1) * (0.5 + (3 + (p.scale != 1.0)) * masked)
    vector = p.n1 * repeats * passes + p.e1 * repeats * 3
    chain = 900 + (pieces - 1) * 300 + ceil_div(s.k, s.step) * 60 * pieces
    loads = p.n1 * (p.d1 + p.e1) * FRACTAL / float(soc.timing["gm"]["l2_read_rate"])
    return blocks * (vector + chain) + (items if s.resident else 2 * blocks) * loads


_PART_TASKS, _PART_CYCLES = 5, 1500
"""Two products, a softmax and the two changes of format between them; what such a task costs at least."""
_PART_BYTES, _PART_WASTE = 14, 1.7
"""Bytes of the scores that they move per score, and how far they are from the rates (BERT-base: 20 k cycles for 12 heads)."""


def parts_estimate(p: AttentionProblem, soc: Soc) -> float:
    """Cycles of the same as products and a softmax, on all cores."""
    memory = soc.timing["gm"]
    scores = p.items * p.queries * p.keys
    inputs = p.items // p.shared * p.n1 * (p.d1 + p.e1) * FRACTAL
    moved = _PART_BYTES * scores
    rate = float(memory["l2_read_rate"] if moved < soc.l2_bytes else memory["ddr_read_rate"])
    return (
        _PART_TASKS * _PART_CYCLES
        + inputs / (soc.cores * float(memory["l2_read_rate"]))
        + _PART_WASTE * (moved / (soc.cores * rate) + scores / 8 / soc.cores)
    )
