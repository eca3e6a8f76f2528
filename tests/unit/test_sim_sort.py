"""Sort, merge and element moves of region proposals against plain Python lists."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ascend_mlir.runtime.isa.record import Record
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.fault import SimulatorFault
from lanes import SIZES, get, put, random_ub, run_on_ub, same

SIZE = 32768
DST, SRC = 0, 16384
Proposal = list[Any]


def at(offset: int) -> tuple[str, int, None, None]:
    return ("ub", offset, None, None)


def proposals(ub: bytes | bytearray, start: int, count: int, kind: str) -> list[Proposal]:
    step = SIZES[kind]
    return [[get(ub, start + (8 * i + j) * step, kind) for j in range(8)] for i in range(count)]


def write(ub: bytearray, start: int, items: list[Proposal], kind: str) -> None:
    for i, item in enumerate(items):
        for j, value in enumerate(item):
            put(ub, start + (8 * i + j) * SIZES[kind], kind, value)


def equal(got: bytes, expected: bytearray, kind: str) -> bool:
    return all(same(get(got, i, kind), get(expected, i, kind)) for i in range(0, SIZE, SIZES[kind]))


def filled(kind: str, rng: random.Random) -> bytearray:
    """Random proposals with many equal scores."""
    ub = random_ub([(0, SIZE, kind)], SIZE, rng)
    for start in range(SRC, SIZE, 8 * SIZES[kind]):
        put(ub, start + 4 * SIZES[kind], kind, float(rng.randint(-3, 3)))
    return ub


def falling(items: list[Proposal]) -> list[Proposal]:
    return sorted(items, key=lambda item: -item[4])


@pytest.mark.parametrize("repeat", [0, 1, 3])
@pytest.mark.parametrize("kind", ["f16", "f32"])
def test_bitsort(kind: str, repeat: int) -> None:
    ub = filled(kind, random.Random(repeat))
    got = run_on_ub([Record("vbitsort", kind, [at(DST), at(SRC)], (), {"repeat": repeat})], bytes(ub))
    expected = bytearray(ub)
    for r in range(repeat):
        where = 16 * 8 * SIZES[kind] * r
        write(expected, DST + where, falling(proposals(ub, SRC + where, 16, kind)), kind)
    assert equal(got, expected, kind)


def merged(lists: list[list[Proposal]], suspend: bool) -> list[Proposal]:
    left = [list(items) for items in lists]
    result: list[Proposal] = []
    while any(left) and not (suspend and not all(left)):
        heads = [(-items[0][4], number) for number, items in enumerate(left) if items]
        result.append(left[min(heads)[1]].pop(0))
    return result


@pytest.mark.parametrize("suspend", [0, 1])
@pytest.mark.parametrize("lengths", [(5, 7), (16, 2, 9), (4, 4, 4, 4), (0, 3, 8, 1), (30, 1, 1, 30)])
@pytest.mark.parametrize("kind", ["f16", "f32"])
def test_merge(kind: str, lengths: tuple[int, ...], suspend: int) -> None:
    ub = filled(kind, random.Random(f"{lengths}{suspend}"))
    starts = [SRC + 2048 * i for i in range(4)]
    lists: list[list[Proposal]] = []
    for start, length in zip(starts, lengths, strict=False):
        lists.append(falling(proposals(ub, start, length, kind)))
        write(ub, start, lists[-1], kind)
    fields = {f"length{i}": length for i, length in enumerate(lengths)}
    fields |= {"repeat": 1, "valid": (1 << len(lengths)) - 1, "suspend": suspend}
    got = run_on_ub([Record("vmrgsort4", kind, [at(DST), *map(at, starts)], (), fields)], bytes(ub))
    expected = bytearray(ub)
    write(expected, DST, merged(lists, bool(suspend)), kind)
    assert equal(got, expected, kind)


def test_merge_repeats() -> None:
    kind, length = "f16", 4
    ub = filled(kind, random.Random(0))
    step = length * 8 * SIZES[kind]
    groups: list[list[list[Proposal]]] = []
    for r in range(3):
        groups.append([])
        for i in range(4):
            start = SRC + (4 * r + i) * step
            groups[-1].append(falling(proposals(ub, start, length, kind)))
            write(ub, start, groups[-1][-1], kind)
    fields = {f"length{i}": length for i in range(4)} | {"repeat": 3}
    record = Record("vmrgsort4", kind, [at(DST), *(at(SRC + i * step) for i in range(4))], (), fields)
    expected = bytearray(ub)
    for r, lists in enumerate(groups):
        write(expected, DST + 4 * r * step, merged(lists, False), kind)
    assert equal(run_on_ub([record], bytes(ub)), expected, kind)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"valid": 5}, "3, 7 or 15"),
        ({"repeat": 2, "length3": 3}, "four equally long lists"),
        ({"repeat": 2, "valid": 7}, "four equally long lists"),
        ({"length0": 2000}, "outside ub|overlaps"),
    ],
)
def test_merge_faults(change: dict[str, int], rule: str) -> None:
    fields = {f"length{i}": 4 for i in range(4)} | {"repeat": 1} | change
    places = [at(DST), *(at(SRC + 64 * i) for i in range(4))]
    with pytest.raises(SimulatorFault, match=rule):
        run_on_ub([Record("vmrgsort4", "f16", places, (), fields)], bytes(SIZE))


@pytest.mark.parametrize("name", ["vbitsort", "vconcat", "vextract", "vmrgsort4"])
def test_nothing_to_do_does_nothing(name: str) -> None:
    """Addresses of empty lists are not looked at, however wild."""
    row = TABLE[name]
    fields = {"repeat": 1 if name == "vmrgsort4" else 0} | {
        f.name: 0 for f in row.fields if f.name[:6] == "length"
    }
    fields |= {"position": 1} if name in ("vconcat", "vextract") else {}
    ub = bytes(range(256)) * 4
    for offset in (0, 1 << 30, -64):
        record = Record(name, "f16", [at(offset) for _ in row.addresses], (), fields)
        assert run_on_ub([record], ub) == ub


def test_sort_does_not_work_in_place() -> None:
    with pytest.raises(SimulatorFault, match="src: overlaps the destination"):
        run_on_ub([Record("vbitsort", "f16", [at(0), at(0)], (), {"repeat": 1})], bytes(SIZE))


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("kind", ["f16", "f32"])
def test_elements(kind: str, position: int) -> None:
    ub = filled(kind, random.Random(position))
    fields = {"repeat": 2, "position": position}
    step = SIZES[kind]
    got = run_on_ub([Record("vextract", kind, [at(DST), at(SRC)], (), fields)], bytes(ub))
    expected = bytearray(ub)
    for i, item in enumerate(proposals(ub, SRC, 32, kind)):
        put(expected, DST + i * step, kind, item[position])
    assert equal(got, expected, kind)
    got = run_on_ub([Record("vconcat", kind, [at(DST), at(SRC)], (), fields)], bytes(ub))
    expected = bytearray(ub)
    for i in range(32):
        put(expected, DST + (8 * i + position) * step, kind, get(ub, SRC + i * step, kind))
    assert equal(got, expected, kind)


def test_not_a_number_is_the_lowest_score() -> None:
    ub = bytearray(SIZE)
    for i in range(16):
        put(ub, SRC + (8 * i + 4) * 2, "f16", float("nan") if i == 3 else float("-inf") if i == 5 else 1.0)
        put(ub, SRC + 8 * i * 2, "f16", float(i))
    got = run_on_ub([Record("vbitsort", "f16", [at(DST), at(SRC)], (), {"repeat": 1})], bytes(ub))
    order = [int(item[0]) for item in proposals(got, DST, 16, "f16")]
    assert order[:14] == [i for i in range(16) if i not in (3, 5)] and set(order[14:]) == {3, 5}
