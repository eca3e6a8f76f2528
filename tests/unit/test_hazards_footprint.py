"""Footprints and definedness against what the executors really do to bytes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from ascend_mlir.runtime.isa.extents import extents
from ascend_mlir.runtime.isa.model import Instruction
from ascend_mlir.runtime.isa.record import AddressOperand, Decoded
from ascend_mlir.runtime.isa.table import INSTRUCTIONS, STATE_GROUPS, TABLE
from ascend_mlir.runtime.sim.byte_sets import EMPTY, Footprint, from_blocks, from_bytes, overlap, solid
from ascend_mlir.runtime.sim.definedness import CARRIES, OnChip, Step, carry
from ascend_mlir.runtime.sim.executors import make_executor
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.footprint import footprints
from ascend_mlir.runtime.sim.memory import Core, GlobalMemory
from ascend_mlir.runtime.soc import Soc, load_soc

P3 = load_soc("Ascend310P3")
AIV = load_soc("Ascend910B1").seen_by("aiv")
# Instructions whose operands all lie in UB; vgather, vgatherb and vbi read, vscatter writes wherever the offsets say, and
# vreducev writes as much as the bits say.
IN_UB = [
    row
    for row in INSTRUCTIONS
    if row.addresses
    and all(a.spaces == ("ub",) for a in row.addresses)
    and row.mnemonic not in ("vgather", "vgatherb", "vscatter", "vbi", "vreducev")
]
_SMALL = {"repeat": 5, "length": 3, "bursts": 4, "src_gap": 3, "dst_gap": 3}
_PLACES = (0x2000, 0xC000, 0x16000, 0x20000, 0x2A000)


def _draw(row: Instruction, rng: random.Random) -> dict[str, int]:
    values: dict[str, int] = {}
    for spec in row.fields:
        high = min(spec.high, _SMALL.get(spec.name, 9))
        low = 1 if spec.name.startswith("dst") and spec.name.endswith("blk") else max(spec.low, 0)
        values[spec.name] = rng.randint(low, max(low, high))
    if row.mnemonic == "v4dtrans":
        values["positions"] = 32 * rng.randint(0, 3)
    if row.mnemonic == "vreducev2":
        values["pattern"] = rng.randint(1, 7)  # 0: writes less, by the data
    if row.mnemonic.startswith("vmrgsort4"):
        values |= {"valid": rng.choice((3, 7, 15)), "repeat": 1, "suspend": 0}  # 1: writes less, by the data
    for group in row.state:
        for spec in STATE_GROUPS[group].fields:
            values[spec.name] = spec.default
        if group.startswith("va"):
            for spec in STATE_GROUPS[group].fields:
                values[spec.name] = sum(rng.randint(0, 400) << 16 * i for i in range(4))
    if row.mnemonic == "scatter_vnchwconv":
        values |= {"dst_va": 2 * rng.randint(0, 3), "src_va": 2 * rng.randint(0, 3)}
    if "mask" in row.state and rng.random() < 0.6:
        values["mask_hi"], values["mask_lo"] = (rng.getrandbits(64) - (1 << 63) for _ in range(2))
    if "count" in row.state and rng.random() < 0.3 and "repeat" in values:
        values["count"] = rng.randint(0, 600)
    return values


def _record(row: Instruction, dtype: str, at: tuple[int, ...], values: dict[str, int]) -> Decoded:
    addresses = tuple(AddressOperand(a.spaces[0], p) for a, p in zip(row.addresses, at, strict=True))
    scalars = tuple(0x3C00 for _ in row.scalars)
    return Decoded(row, dtype, addresses, scalars, tuple(values[spec.name] for spec in row.fields))


def _chip(row: Instruction) -> Soc:
    """A chip that has the instruction."""
    return P3 if P3.core.supports(row.intrinsic) else AIV


def _run(record: Decoded, values: dict[str, int], ub: np.ndarray) -> np.ndarray:
    soc = _chip(record.row)
    core = Core(soc, GlobalMemory(()))
    core.ub[:] = ub
    core.cmpmask[:] = np.arange(128) % 3 == 0
    state = tuple(tuple(values[f.name] for f in STATE_GROUPS[g].fields) for g in record.row.state)
    at = tuple(address.offset for address in record.addresses)
    with np.errstate(all="ignore"):
        make_executor(record, soc)(core, at, record.scalars, record.fields, state)
    return core.ub


def _mask(footprint: Footprint, at: int, size: int) -> np.ndarray:
    mask = np.zeros(size, np.bool_)
    mask[at + footprint.low : at + footprint.high] = footprint.byte_mask
    return mask


@pytest.mark.parametrize("row", IN_UB, ids=lambda row: row.mnemonic)
def test_executors_stay_inside_their_footprints(row: Instruction) -> None:
    """Writes lie in the write footprints and fill them; bytes outside the read footprints do not matter."""
    rng, noise = random.Random(row.opcode), np.random.default_rng(row.opcode)
    soc = _chip(row)
    types = (
        sorted(soc.core.intrinsics.get(row.intrinsic, row.types) & set(row.types))
        if row.intrinsic
        else row.types
    )
    for _ in range(30):
        dtype = rng.choice(list(types or ("",)))
        values = _draw(row, rng)
        at = _PLACES[: len(row.addresses)]
        record = _record(row, dtype, at, values)
        prints = footprints(row, dtype, values)
        hulls = extents(row, dtype, values)
        assert all(p.high <= max(0, -(-hull // 32) * 32) for p, hull in zip(prints, hulls, strict=True))
        ub = noise.integers(0, 256, soc.core.buffers["ub"].size, dtype=np.uint8)
        written = np.zeros(len(ub), np.bool_)
        read = np.zeros(len(ub), np.bool_)
        for address, place, footprint in zip(row.addresses, at, prints, strict=True):
            if address.writes:
                written |= _mask(footprint, place, len(ub))
            if address.reads:
                read |= _mask(footprint, place, len(ub))
        try:
            first = _run(record, values, ub)
        except SimulatorFault:  # operands that the machine refuses
            continue
        assert not (first != ub)[~written].any(), (dtype, values)
        other = np.where(read, ub, noise.integers(0, 256, len(ub), dtype=np.uint8)).astype(np.uint8)
        second = _run(record, values, other)
        assert (first == second)[written].all(), (dtype, values)


@pytest.mark.parametrize(
    "row", [r for r in INSTRUCTIONS if r.family in ("dma", "vector_transpose")], ids=lambda r: r.mnemonic
)
def test_moves_carry_definedness_as_they_carry_bytes(row: Instruction) -> None:
    """Bytes 0 and 1 moved by the executor are the definedness that arrives."""
    if any(address.spaces == ("gm",) for address in row.addresses):
        pytest.skip("GM is not on the chip")
    rng, noise = random.Random(row.opcode), np.random.default_rng(row.opcode)
    for _ in range(12):
        dtype = rng.choice(list(row.types or ("",)))
        values = _draw(row, rng)
        at = (0x2000, 0xC000)
        record = _record(row, dtype, at, values)
        spaces = tuple(address.space for address in record.addresses)
        core, memory = Core(P3, GlobalMemory(())), OnChip(P3)
        for space in ("ub", "l1"):
            raw = (noise.random(len(memory.view[space])) < 0.7).astype(np.uint8)
            memory.view[space][:] = raw
            (core.ub if space == "ub" else core.l1.data)[:] = raw
        state = tuple(tuple(values[f.name] for f in STATE_GROUPS[g].fields) for g in row.state)
        make_executor(record, P3)(core, at, (), record.fields, state)
        carry(memory, Step(row, dtype, spaces, at, footprints(row, dtype, values), values))
        assert (memory.view["ub"] == core.ub).all() and (memory.view["l1"] == core.l1.data).all()


def test_every_moving_instruction_has_a_definedness_rule() -> None:
    moving = {row.mnemonic for row in INSTRUCTIONS if row.family in CARRIES}
    assert moving >= {
        "copy_gm_to_ubuf",
        "load2d",
        "load3d",
        "load3dv1",
        "set_2d",
        "vnchwconv",
        "broadcast_ub_to_cc",
    }


@pytest.mark.parametrize("seed", range(6))
def test_overlap_agrees_with_sets_of_bytes(seed: int) -> None:
    rng = random.Random(seed)

    def draw() -> Footprint:
        match rng.randrange(4):
            case 0:
                return solid(rng.randint(0, 200))
            case 1:
                return from_blocks(np.array([rng.randint(-4, 12) for _ in range(4)]))
            case 2:
                return from_bytes(np.array([rng.randint(0, 300) for _ in range(6)]))
            case _:
                return EMPTY

    for _ in range(200):
        a, b = draw(), draw()
        at_a, at_b = (rng.choice((0, 32, 64, 320, 33, 7)) + 256 for _ in range(2))
        bytes_a = {at_a + a.low + int(i) for i in np.flatnonzero(a.byte_mask)} if a.count else set[int]()
        bytes_b = {at_b + b.low + int(i) for i in np.flatnonzero(b.byte_mask)} if b.count else set[int]()
        common = bytes_a & bytes_b
        met = overlap(a, at_a, b, at_b)
        assert (met is not None) == bool(common)
        if met is not None:
            assert met[0] <= min(common) and max(common) < met[1]


def test_l0c_moves_carry_rows_that_were_never_computed() -> None:
    """m = 10 leaves six rows of each fractal undefined; a converting copy to UB keeps it so."""
    memory = OnChip(P3)
    mad = TABLE["mad"]
    values = {"m": 10, "k": 16, "n": 16, "init": 1}
    memory.view["l0a"][:] = memory.view["l0b"][:] = 1
    from ascend_mlir.runtime.sim.definedness import compute

    step = Step(
        mad, "f32f16f16", ("l0c", "l0a", "l0b"), (0, 0, 0), footprints(mad, "f32f16f16", values), values
    )
    assert compute(memory, step)[0] == []
    row = TABLE["copy_matrix_cc_to_ubuf"]
    fields = {"bursts": 1, "length": 1, "src_gap": 0, "dst_gap": 0, "relu": 0}
    carry(memory, Step(row, "f322f16", ("ub", "l0c"), (64, 0), footprints(row, "f322f16", fields), fields))
    arrived = memory.view["ub"][64 : 64 + 512].reshape(16, 32)
    assert arrived[:10].all() and not arrived[10:].any()


def test_bias_broadcast_carries_lanes() -> None:
    memory, row = OnChip(P3), TABLE["broadcast_ub_to_cc"]
    memory.view["ub"][0:24] = 1  # twelve of sixteen halves
    fields = {"bursts": 1, "length": 1, "src_gap": 0, "dst_gap": 0}
    carry(memory, Step(row, "f162f32", ("l0c", "ub"), (0, 0), footprints(row, "f162f32", fields), fields))
    arrived = memory.view["l0c"][:1024].reshape(16, 16, 4)
    assert arrived[:, :12].all() and not arrived[:, 12:].any()


@pytest.mark.parametrize("name", ["copy_vector_cc_to_ubuf", "copy_vector_ubuf_to_cc"])
def test_first_rows_carry_definedness(name: str) -> None:
    """Two bursts of two vectors, a fractal and a block between them; the second vector of each is undefined."""
    memory, row = OnChip(P3), TABLE[name]
    out = name == "copy_vector_cc_to_ubuf"
    fields = {"bursts": 2, "length": 2, "src_gap": 1, "dst_gap": 1}
    prints = footprints(row, "f32", fields)
    l0c, ub = (prints[1], prints[0]) if out else prints
    starts = [fractal * 1024 for fractal in (0, 1, 3, 4)], [0, 64, 160, 224]  # in L0C, in UB
    for footprint, places in zip((l0c, ub), starts, strict=True):
        mask = _mask(footprint, 0, 8192)
        assert {int(i) for i in np.flatnonzero(mask)} == {p + i for p in places for i in range(64)}
    space, places = ("l0c", starts[0]) if out else ("ub", starts[1])
    for place in places[::2]:
        memory.view[space][place : place + 64] = 1
    spaces = ("ub", "l0c") if out else ("l0c", "ub")
    carry(memory, Step(row, "f32", spaces, (0, 0), prints, fields))
    arrived = memory.view[spaces[0]]
    target = starts[1] if out else starts[0]
    assert [bool(arrived[p : p + 64].all()) for p in target] == [True, False, True, False]
    assert not arrived[target[1] : target[1] + 64].any()
