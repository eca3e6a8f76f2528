"""Races, flag errors and undefined bytes are found; correct kernels are left alone."""

from __future__ import annotations

import pytest
from ascend_mlir.runtime.sim.gm_state import GmRange
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.soc import load_soc
from sim_kernels import ADD_RELU, ARGS, MATMUL, OUT, hazards, program, ranges, rules

KERNELS = {"matmul": (MATMUL, 2, 2 * 0x10000), "add_relu": (ADD_RELU, 4, 4 * 0x8000)}


@pytest.mark.parametrize("name", KERNELS)
def test_correct_kernels_are_clean(name: str) -> None:
    text, blocks, out = KERNELS[name]
    assert [str(hazard) for hazard in hazards(text, blocks, ranges(out))] == []


def _mutants(text: str) -> list[tuple[str, str]]:
    """Each kernel with one sync instruction removed, and with all flags of one pipe pair removed."""
    lines = text.strip().splitlines()
    sync = [i for i, line in enumerate(lines) if line.split()[0] in ("set_flag", "wait_flag", "pipe_barrier")]
    mutants = [(f"line {i}: {lines[i].strip()}", "\n".join(lines[:i] + lines[i + 1 :])) for i in sync]
    pairs = {lines[i].strip().split(" ", 1)[1].rsplit(",", 1)[0] for i in sync if "_flag" in lines[i]}
    for pair in sorted(pairs):
        mutants.append((f"no {pair}", "\n".join(line for line in lines if pair not in line)))
    return mutants


@pytest.mark.parametrize("name", KERNELS)
def test_every_missing_sync_is_reported(name: str) -> None:
    text, blocks, out = KERNELS[name]
    missed = [what for what, mutant in _mutants(text) if not rules(mutant, blocks, ranges(out))]
    assert missed == []


def test_a_race_names_both_instructions_and_the_bytes() -> None:
    found = hazards(
        "copy_gm_to_ubuf ub[0x100], gm[0+r0], bursts=1, length=8\nvabs.f16 ub[0x800], ub[0x180], repeat=1"
    )
    (race,) = [hazard for hazard in found if hazard.rule == "RAW"]
    assert "copy_gm_to_ubuf" in race.first and "vabs" in race.second
    assert (race.space, race.low, race.high) == ("ub", 0x180, 0x200)


FILL = "vector_dup.f16 ub[{at}], 0, repeat={n}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vector_dup.f16 ub[0], 0, repeat=1\nvabs.f16 ub[0x200], ub[0], repeat=1", ["RAW"]),
        ("vector_dup.f16 ub[0], 0, repeat=1\npipe_barrier pipe=V\nvabs.f16 ub[0x200], ub[0], repeat=1", []),
        ("vector_dup.f16 ub[0], 0, repeat=1\npipe_barrier pipe=ALL\nvabs.f16 ub[0x200], ub[0], repeat=1", []),
        ("vector_dup.f16 ub[0], 0, repeat=1\nvector_dup.f16 ub[0xE0], 0, repeat=1", ["WAW"]),
        # writing what was read before is free in one pipe
        ("vector_dup.f16 ub[0], 0, repeat=2\npipe_barrier pipe=V\nvabs.f16 ub[0x400], ub[0], repeat=1\n"
         "vector_dup.f16 ub[0], 1, repeat=1", []),
        # one instruction may work in place, but not twice without a barrier
        ("vector_dup.f16 ub[0], 0, repeat=1\npipe_barrier pipe=V\nloop r5, 2\n"
         "vabs.f16 ub[0], ub[0], repeat=1\nend_loop", ["RAW", "WAW"]),
        ("vector_dup.f16 ub[0], 0, repeat=1\nloop r5, 2\npipe_barrier pipe=V\n"
         "vabs.f16 ub[0], ub[0], repeat=1\nend_loop", []),
        # MTE2 loads to overlapping bytes
        ("copy_gm_to_ubuf ub[0], gm[0+r0], bursts=1, length=8\n"
         "copy_gm_to_ubuf ub[0x40], gm[0+r0], bursts=1, length=8", ["WAW"]),
        # interleaved strided writes of two pipes share no byte
        ("copy_gm_to_ubuf ub[0], gm[0+r0], bursts=8, length=1, dst_gap=1\n"
         "vector_dup.f16 ub[0x20], 0, repeat=1, dst_blk=2", []),
        ("copy_gm_to_ubuf ub[0], gm[0+r0], bursts=8, length=1, dst_gap=1\n"
         "vector_dup.f16 ub[0x20], 0, repeat=2, dst_blk=2, dst_rep=1", ["WAW"]),
        # lanes of one block: the mask decides
        ("set_vector_mask 0, 0xF\nvector_dup.f16 ub[0], 0, repeat=1\nset_vector_mask 0, 0xF0\n"
         "vector_dup.f16 ub[0], 1, repeat=1", []),
        ("set_vector_mask 0, 0xF\nvector_dup.f16 ub[0], 0, repeat=1\nset_vector_mask 0, 0xF8\n"
         "vector_dup.f16 ub[0], 1, repeat=1", ["WAW"]),
        # counter mode: 20 elements are one block and a quarter
        ("set_mask_count 20\nvector_dup.f16 ub[0], 0, repeat=0\nset_mask_count -1\n"
         "vector_dup.f16 ub[0x40], 1, repeat=1", []),
        ("set_mask_count 40\nvector_dup.f16 ub[0], 0, repeat=0\nset_mask_count -1\n"
         "vector_dup.f16 ub[0x40], 1, repeat=1", ["WAW"]),
    ],
)  # fmt: skip
def test_order_inside_and_between_pipes(text: str, expected: list[str]) -> None:
    assert rules(text) == expected


CUBE = """
set_2d.f16 l0a[0], 0, repeat=64
set_2d.f16 l0b[0], 0, repeat=64
set_flag src=MTE1, dst=M, event=0
wait_flag src=MTE1, dst=M, event=0
mad.f32f16f16 l0c[0], l0a[0], l0b[0], m={m}, k=16, n={n}, init=1
{between}
mad.f32f16f16 l0c[0], l0a[0], l0b[0], m={m}, k=16, n={n}, init=0
"""


def test_small_accumulating_mads_need_a_barrier() -> None:
    assert rules(CUBE.format(m=48, n=48, between="")) == ["RAW"]
    assert rules(CUBE.format(m=48, n=48, between="pipe_barrier pipe=M")) == []
    assert rules(CUBE.format(m=32, n=80, between="")) == []  # ten fractals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set_flag src=V, dst=M, event=0", ["flag left set"]),
        ("wait_flag src=V, dst=M, event=0", ["wait without set"]),
        ("set_flag src=V, dst=M, event=0\nset_flag src=V, dst=M, event=0\n"
         "wait_flag src=V, dst=M, event=0", ["flag set twice"]),
        ("set_flag src=V, dst=M, event=0\nwait_flag src=V, dst=M, event=0\n" * 2, ["set overtakes wait"]),
        # each pipe's set tells the other that its wait is over
        ("set_flag src=V, dst=M, event=0\nwait_flag src=V, dst=M, event=0\n"
         "set_flag src=M, dst=V, event=0\nwait_flag src=M, dst=V, event=0\n" * 2, []),
        ("set_flag src=V, dst=M, event=8\nwait_flag src=V, dst=M, event=8", ["event id"]),
        ("mov r9, 9\nset_flag src=V, dst=M, event=r9\nwait_flag src=V, dst=M, event=r9", ["event id"]),
        ("set_flag src=V, dst=V, event=0\nwait_flag src=V, dst=V, event=0\n" * 2, []),
    ],
)  # fmt: skip
def test_flag_rules(text: str, expected: list[str]) -> None:
    assert rules(text) == expected


def test_a_closed_pair_of_flags_may_repeat() -> None:
    """In the second round the set of M→V needs to know that V is past the first wait: V's own flag
    tells it."""
    body = (
        "wait_flag src=M, dst=V, event=0\nset_flag src=V, dst=M, event=0\n"
        "wait_flag src=V, dst=M, event=0\nset_flag src=M, dst=V, event=0\n"
    )
    text = f"set_flag src=M, dst=V, event=0\nloop r5, 3\n{body}end_loop\nwait_flag src=M, dst=V, event=0"
    assert rules(text) == []


def test_event_ids_are_those_of_the_chip() -> None:
    text = "set_flag src=V, dst=M, event=5\nwait_flag src=V, dst=M, event=5"
    assert rules(text) == []
    assert rules(text, soc="Ascend910A") == ["event id"]


DEFINED = [GmRange(ARGS[0], 0x1000), GmRange(OUT, 0x100, defined=False, result=True, name="out")]
STORE = (
    "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0\n"
    "copy_ubuf_to_gm gm[0+r2], ub[0], bursts=1, length=8"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vabs.f16 ub[0], ub[0x200], repeat=1\n" + STORE, ["undefined"]),
        ("vector_dup.f16 ub[0], 0, repeat=1\n" + STORE, []),
        ("set_vector_mask 0, -1\nvector_dup.f16 ub[0], 0, repeat=1\n"
         "" + STORE, ["undefined"]),  # half of the result
        # an inactive lane may be undefined
        ("set_vector_mask 0, -1\nvector_dup.f16 ub[0x200], 0, repeat=1\npipe_barrier pipe=V\n"
         "vector_dup.f16 ub[0], 0, repeat=1\nset_vector_mask -1, 0\nvector_dup.f16 ub[0], 0, repeat=1\n"
         "set_vector_mask 0, -1\npipe_barrier pipe=V\nvabs.f16 ub[0], ub[0x200], repeat=1\n" + STORE, []),
        # copies carry undefined bytes along, arithmetic finds them
        ("vector_dup.f16 ub[0], 0, repeat=1\n"
         "copy_ubuf_to_ubuf ub[0x400], ub[0x200], bursts=1, length=8\n" + STORE, []),
        ("vector_dup.f16 ub[0], 0, repeat=1\ncopy_ubuf_to_ubuf ub[0x400], ub[0x200], bursts=1, length=8\n"
         "pipe_barrier pipe=V\nvabs.f16 ub[0x600], ub[0x400], repeat=1\n" + STORE, ["undefined"]),
        # behind the end of the tensor GM is undefined
        ("copy_gm_to_ubuf ub[0x400], gm[0xF80+r0], bursts=1, length=8\nset_flag src=MTE2, dst=V, event=0\n"
         "wait_flag src=MTE2, dst=V, event=0\nvabs.f16 ub[0], ub[0x400], repeat=1\n" + STORE, ["undefined"]),
        ("copy_gm_to_ubuf ub[0x400], gm[0xF00+r0], bursts=1, length=8\nset_flag src=MTE2, dst=V, event=0\n"
         "wait_flag src=MTE2, dst=V, event=0\nvabs.f16 ub[0], ub[0x400], repeat=1\n" + STORE, []),
        ("vector_dup.f16 ub[0], 0, repeat=1\n"
         "" + STORE.replace("length=8", "length=7"), ["result not written"]),
    ],
)  # fmt: skip
def test_definedness(text: str, expected: list[str]) -> None:
    assert rules(text, gm=DEFINED) == expected


def test_undefined_bytes_matter_only_inside_m_k_n() -> None:
    load = (
        "copy_gm_to_cbuf l1[0], gm[0+r0], bursts=1, length=10\n"  # ten of the sixteen rows
        "set_flag src=MTE2, dst=MTE1, event=0\nwait_flag src=MTE2, dst=MTE1, event=0\n"
        "load2d.f16 l0a[0], l1[0], repeat=1\nset_2d.f16 l0b[0], 0, repeat=1\n"
        "set_flag src=MTE1, dst=M, event=0\nwait_flag src=MTE1, dst=M, event=0\n"
    )
    mad = "mad.f32f16f16 l0c[0], l0a[0], l0b[0], m={m}, k=16, n=16, init=1"
    assert rules(load + mad.format(m=10)) == []
    assert rules(load + mad.format(m=11)) == ["undefined"]


def test_blocks_must_not_meet_in_global_memory() -> None:
    store = (
        "block_idx r3\nmul r3, r3, {step}\nadd r4, r2, r3\nvector_dup.f16 ub[0], 0, repeat=1\n"
        "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0\n"
        "copy_ubuf_to_gm gm[0+r4], ub[0], bursts=4, length=2, dst_gap={gap}"
    )
    assert rules(store.format(step=0x100, gap=0), blocks=3) == []
    assert rules(store.format(step=0xE0, gap=0), blocks=3) == ["write-write between blocks"]
    assert rules(store.format(step=0x40, gap=4), blocks=3) == []  # interleaved
    assert rules(store.format(step=0x40, gap=3), blocks=3) == ["write-write between blocks"]
    assert rules("set_atomic atomic=1\n" + store.format(step=0, gap=0), blocks=3) == []


def test_one_block_must_not_read_what_another_writes() -> None:
    text = (
        "block_idx r3\nmul r3, r3, 0x100\nadd r4, r2, r3\nvector_dup.f16 ub[0], 0, repeat=1\n"
        "copy_gm_to_ubuf ub[0x200], gm[{offset}+r4], bursts=1, length=8\n"
        "set_flag src=MTE2, dst=MTE3, event=0\nwait_flag src=MTE2, dst=MTE3, event=0\n"
        "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0\n"
        "copy_ubuf_to_gm gm[0+r4], ub[0], bursts=1, length=8"
    )
    assert rules(text.format(offset=0), blocks=2) == []
    assert rules(text.format(offset=0x20), blocks=2) == ["read-write between blocks"]


def test_order_in_global_memory_inside_a_block() -> None:
    store = "vector_dup.f16 ub[0], 0, repeat=1\n" + STORE + "\n"
    load = "copy_gm_to_ubuf ub[0x200], gm[{at}+r2], bursts=1, length=1\n"
    flag = "set_flag src=MTE3, dst=MTE2, event=0\nwait_flag src=MTE3, dst=MTE2, event=0\n"
    assert rules(store + load.format(at=0xE0)) == ["RAW"]
    assert rules(store + load.format(at=0x100)) == []
    assert rules(store + flag + load.format(at=0xE0)) == []


def test_kernels_that_read_scalars_need_their_values() -> None:
    text = (
        "vector_dup.s32 ub[0], 3, repeat=1\nset_flag src=V, dst=S, event=0\nwait_flag src=V, dst=S, event=0\n"
        "load_scalar r5, ub[0], bytes=4\nloop r6, r5\nvabs.f16 ub[0x200], ub[0x200], repeat=1\nend_loop"
    )
    with pytest.raises(Exception, match="E43102"):
        hazards(text)
    found = check_task(load_soc("Ascend310P3"), program(text), ARGS, 1, loads=[[3]])
    assert {hazard.rule for hazard in found} == {"RAW", "WAW", "undefined"}


def test_a_flag_for_the_scalar_unit_may_be_set_again_after_its_wait() -> None:
    """The scalar unit dispatches the second set behind its own wait: the set cannot overtake it."""
    pair = "set_flag src=V, dst=S, event=0\nwait_flag src=V, dst=S, event=0\n"
    assert rules(pair + pair) == []
