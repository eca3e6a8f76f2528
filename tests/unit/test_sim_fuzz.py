"""Any valid image runs or stops with a fault: random instructions with plausible and wild operands."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.model import Field, Instruction
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record, Reg, resolve
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from ascend_mlir.runtime.sim.checks import chip_reason
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.soc import load_soc

SOCS = [load_soc(name) for name in ("Ascend310", "Ascend310P3", "Ascend910A")]
ROWS = [row for row in INSTRUCTIONS if row.family != "control"]


def field_value(spec: Field, rng: random.Random) -> Operand:
    if rng.random() < 0.1:
        return Reg(rng.randrange(8))
    if rng.random() < 0.15:
        return rng.randint(spec.low, spec.high)
    return min(max(rng.choice([0, 1, 1, 2, 3, 8, 16, 32]), spec.low), spec.high)


def address(spaces: tuple[str, ...], rng: random.Random) -> AddressOperand:
    space = rng.choice(spaces)
    offset = rng.choice([0, 32, 512, 1024, 4096, 8192, 32768, rng.randrange(1 << 18)])
    register = rng.randrange(8) if rng.random() < 0.1 else None
    return AddressOperand(space, offset, register)


def random_record(row: Instruction, rng: random.Random) -> Record:
    scalars: list[Operand] = []
    for scalar in row.scalars:
        wild = rng.choice([0, 1, -1, 7, 300, 0x3C00, rng.getrandbits(63), -rng.getrandbits(63)])
        scalars.append(Reg(rng.randrange(8)) if "w" in scalar.register or rng.random() < 0.2 else wild)
    return Record(
        row.mnemonic,
        rng.choice(row.types or ("",)),
        [address(a.spaces, rng) for a in row.addresses],
        scalars,
        {spec.name: field_value(spec, rng) for spec in row.fields},
    )


def on_chip(record: Record, soc_number: int) -> bool:
    decoded = resolve(record)
    return not isinstance(decoded, str) and not chip_reason(decoded, SOCS[soc_number])


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int) -> None:
    rng = random.Random(seed)
    number = seed % len(SOCS)
    gm = np.random.default_rng(seed).integers(0, 256, 1 << 18).astype(np.uint8)
    for _ in range(12):
        records = [random_record(rng.choice(ROWS), rng) for _ in range(rng.randint(1, 12))]
        records = [record for record in records if on_chip(record, number)]
        with contextlib.suppress(SimulatorFault):
            run_kernel(SOCS[number], encode_image([*records, Record("end")], 256), gm, range(256), 1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mnemonic)
def test_each_instruction(row: Instruction) -> None:
    rng = random.Random(row.mnemonic)
    gm = np.random.default_rng(0).integers(0, 256, 1 << 18).astype(np.uint8)
    for _ in range(25):
        record = random_record(row, rng)
        number = rng.randrange(len(SOCS))
        if on_chip(record, number):
            with contextlib.suppress(SimulatorFault):
                image = encode_image([record, record, Record("end")], 256)
                run_kernel(SOCS[number], image, gm, range(256), 1)
