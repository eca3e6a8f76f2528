"""Kernels as machine code: scalar arithmetic, loops, addresses, registers, provenance."""

from __future__ import annotations

import pytest
from ascend_mlir.dialects.davinci import KernelOp
from ascend_mlir.lowering.davinci_to_code import encode_kernel, kernel_records
from ascend_mlir.lowering.kernel_builder import KernelBuilder
from ascend_mlir.passes.davinci_pipeline import PIPELINE, lower_kernel
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.decode import decode_image
from ascend_mlir.runtime.isa.record import AddressOperand, Record, Reg
from ascend_mlir.runtime.soc import load_soc
from davinci_order import Judge
from xdsl.context import Context
from xdsl.dialects import arith, builtin, scf
from xdsl.dialects.builtin import IndexType, IntegerAttr
from xdsl.ir import Block, Region
from xdsl.parser import Parser

SOC = load_soc("Ascend310P3")


def parse(text: str) -> KernelOp:
    from ascend_mlir.dialects.davinci import DAVINCI

    context = Context()
    for dialect in (DAVINCI, arith.Arith, scf.Scf, builtin.Builtin):
        context.load_dialect(dialect)
    (kernel,) = Parser(context, text).parse_module().body.block.ops
    assert isinstance(kernel, KernelOp)
    return kernel


class Stores(Judge):
    """Collects what store_scalar stores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stored: list[int] = []

    def _access(self, record: Record, fields: dict[str, int]) -> None:
        if record.mnemonic == "store_scalar":
            self.stored.append(self.value(record.scalars[0]))


def stored(body: str, n: int) -> list[int]:
    """The values that a kernel stores, with the size argument `n`."""
    constants = "\n".join(f"%c{i} = arith.constant {i} : index" for i in (0, 1, 2, 3, 7))
    kernel = parse(f"davinci.kernel @k(%x: !davinci.gm, %n: index) blocks 2 {{\n{constants}\n{body}\n}}")
    for _, run in PIPELINE:
        run(kernel, SOC)
    judge = Stores((512, n), block=1, blocks=2)
    judge.run(kernel_records(kernel))
    return judge.stored


STORE = "davinci.store_scalar %x, a %v, bytes 8, bytes [8]"


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("arith.addi %n, %c7", [12]),
        ("arith.subi %c7, %n", [2]),
        ("arith.muli %n, %n", [25]),
        ("arith.divui %n, %c2", [2]),
        ("arith.ceildivsi %n, %c2", [3]),
        ("arith.ceildivsi %c7, %n", [2]),
        ("arith.floordivsi %n, %c3", [1]),
        ("arith.remui %n, %c3", [2]),
        ("arith.minsi %n, %c3", [3]),
        ("arith.maxsi %n, %c7", [7]),
        ("arith.andi %n, %c3", [1]),
        ("arith.ori %n, %c2", [7]),
        ("arith.xori %n, %c1", [4]),
        ("arith.shli %n, %c2", [20]),
        ("arith.shrui %n, %c1", [2]),
    ],
)
def test_arithmetic(op: str, expected: list[int]) -> None:
    assert stored(f"%v = {op} : index\n{STORE}", 5) == expected


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [("eq", 0), ("ne", 1), ("slt", 1), ("sle", 1), ("sgt", 0), ("sge", 0), ("ult", 1), ("uge", 0)],
)
def test_comparisons_and_select(predicate: str, expected: int) -> None:
    compare = f"%p = arith.cmpi {predicate}, %n, %c7 : index\n"
    constants = "%v = arith.select %p, %c3, %c2 : index\n"
    values = "%v = arith.select %p, %n, %x7 : index\n"
    assert stored(compare + constants + STORE, 5) == [3 if expected else 2]
    assert stored("%x7 = arith.addi %n, %c7 : index\n" + compare + values + STORE, 5) == [
        5 if expected else 12
    ]


def test_loops_with_any_bounds() -> None:
    body = "scf.for %v = {} to {} step {} {{\n" + STORE + "\n}}"
    assert stored(body.format("%c0", "%n", "%c1"), 3) == [0, 1, 2]
    assert stored(body.format("%c1", "%c7", "%c2"), 3) == [1, 3, 5]
    assert stored(body.format("%c2", "%n", "%c3"), 9) == [2, 5, 8]
    assert stored(body.format("%n", "%c7", "%c1"), 6) == [6]
    assert stored(body.format("%n", "%c7", "%c1"), 9) == []


def test_branches() -> None:
    body = (
        "%p = arith.cmpi slt, %n, %c3 : index\nscf.if %p {\n%v = arith.addi %n, %c1 : index\n"
        + STORE
        + "\n} else {\n%v = arith.muli %n, %c2 : index\n"
        + STORE
        + "\n}"
    )
    assert stored(body, 2) == [3]
    assert stored(body, 4) == [8]


def test_block_index_and_number() -> None:
    assert stored("%v = davinci.block_idx\n" + STORE, 0) == [1]
    assert stored("%v = davinci.block_num\n" + STORE, 0) == [2]


def test_address_slots() -> None:
    """Kernel argument + register + immediate in GM; immediate + two registers on chip."""
    kb = KernelBuilder("slots", SOC, gm_args=1, blocks=4)
    tile = kb.alloc("ub", 65536)
    with kb.loop(4) as i, kb.loop(3) as j:
        place = kb.linear(96, (i, 4096), (j, 64))
        kb.op("copy_gm_to_ubuf", "", tile + place, kb.args[0] + place, bursts=1, length=2)
    for _, run in PIPELINE:
        run(kb.kernel, SOC)
    (copy,) = [r for r in kernel_records(kb.kernel) if r.mnemonic == "copy_gm_to_ubuf"]
    dst, src = (AddressOperand(*address) for address in copy.addresses)
    assert (dst.space, dst.offset, src.space, src.offset) == ("ub", 96, "gm", 96)
    assert None not in (dst.base, dst.idx, src.base, src.idx)


def test_body_ops_reach_the_image() -> None:
    kb = KernelBuilder("provenance", SOC, gm_args=1, blocks=1)
    tile = kb.alloc("ub", 4096)
    kb.op("copy_gm_to_ubuf", "", tile, kb.args[0], bursts=1, length=128)
    kb.body_op = 3
    kb.op("vrelu", "f16", tile, tile, repeat=1, mask_lo=255)
    image = decode_image(lower_kernel(kb.kernel, SOC))
    found = {r.mnemonic: r.body_op for r in image.records}
    assert found["copy_gm_to_ubuf"] == 0
    assert found["vrelu"] == found["set_vector_mask"] == 3


def test_dead_scalars_are_not_encoded() -> None:
    assert stored("%d = arith.addi %n, %c7 : index\n%v = arith.addi %n, %c1 : index\n" + STORE, 1) == [2]
    kernel = parse("davinci.kernel @k(%n: index) blocks 1 {\n%d = arith.addi %n, %n : index\n}")
    assert [r.mnemonic for r in kernel_records(kernel)] == ["end"]


def many_offsets(count: int) -> KernelOp:
    kb = KernelBuilder("many", SOC, gm_args=1, blocks=1)
    tile = kb.alloc("ub", 32)
    with kb.loop(4) as i:
        scales = [kb.mul(i, 3 + k) for k in range(count)]
        with kb.loop(3) as j:
            for k, scale in enumerate(scales):
                offset = kb.linear(0, (scale, 32), (j, 32 * (k + 5)))
                kb.op("copy_gm_to_ubuf", "", tile, kb.args[0] + offset, bursts=1, length=1)
    return kb.kernel


def test_want_of_registers_is_cured_by_recomputing() -> None:
    kernel = many_offsets(80)
    image = lower_kernel(kernel, SOC)
    records = [r.record() for r in decode_image(image).records]
    assert Judge((0,)).run(records) == []


def test_too_many_live_values_fail_by_name() -> None:
    kb = KernelBuilder("wide", SOC, gm_args=1, blocks=1)
    tile = kb.alloc("ub", 8192)
    first = [kb.add(kb.block_idx, 0)]
    arguments = [kb.kernel.body.block.insert_arg(IndexType(), 1) for _ in range(70)]
    del first
    with kb.loop(4):
        for argument in arguments:
            kb.op("vrelu", "f16", tile, tile, repeat=argument, limits={"repeat": 4})
    for _, run in PIPELINE:
        run(kb.kernel, SOC)
    with pytest.raises(AscendError, match="wide: no register"):
        encode_kernel(kb.kernel)


def test_registers_of_ends_are_free_again() -> None:
    constant = arith.ConstantOp(IntegerAttr(1, IndexType()))
    block = Block([constant])
    kernel = KernelOp("empty", [], 1, Region(block))
    assert [r.mnemonic for r in kernel_records(kernel)] == ["end"]
    assert Reg(3) == Reg(3)
