"""64-bit integers at model borders: i64 in GM, s32 on the chip (decision D13).

The vector unit has no 64-bit type, so low words are picked as bytes: a run of numbers is cut into 16 equal
segments, and a 16×16 transpose makes lane i of a block belong to segment i.  Then each 16-bit quarter of a
number is a block of its own, the copy engine keeps two blocks of four, and a second transpose restores the
order.  Widening is the same backwards, with a vector of sign words beside the numbers.
"""

from __future__ import annotations

from .kernel_builder import KernelBuilder, Ref
from .tails import transpose_blocks
from .vector_tiles import BLOCK, LANES, MAX_REPEAT
from .vector_transfer import ub_buffer

SQUARE = LANES * BLOCK
LONG_BYTES = 8
UNIT = 8 * LANES  # numbers: one block of s32 in each of 16 segments


def long_room(limit: int) -> int:
    """Bytes of a buffer of i64 that `narrow` and `widen` may use for `limit` numbers."""
    return -(-limit // UNIT) * UNIT * LONG_BYTES


def _explode(kb: KernelBuilder, run: Ref, segment_blocks: int) -> Ref:
    """[segment][position] → [position][segment], positions in 16-bit units."""
    out = ub_buffer(kb, segment_blocks * SQUARE)
    for start in range(0, segment_blocks, MAX_REPEAT):
        repeat = min(MAX_REPEAT, segment_blocks - start)
        to, of = out + start * SQUARE, run + start * BLOCK
        transpose_blocks(
            kb, LANES, to, of, repeat, dst_row=1, src_row=segment_blocks, dst_rep=LANES, src_rep=1
        )
    return out


def _implode(kb: KernelBuilder, exploded: Ref, run: Ref, segment_blocks: int) -> None:
    for start in range(0, segment_blocks, MAX_REPEAT):
        repeat = min(MAX_REPEAT, segment_blocks - start)
        to, of = run + start * BLOCK, exploded + start * SQUARE
        transpose_blocks(
            kb, LANES, to, of, repeat, dst_row=segment_blocks, src_row=1, dst_rep=1, src_rep=LANES
        )


def narrow(kb: KernelBuilder, numbers: Ref, out: Ref, limit: int) -> None:
    """The low words of up to `limit` i64 numbers; `out` has room for whole units."""
    segment = -(-limit // UNIT) * 8
    exploded = _explode(kb, numbers, segment // 4)
    kept = ub_buffer(kb, segment * 2 * BLOCK)
    kb.op("copy_ubuf_to_ubuf", "", kept, exploded, bursts=segment, length=2, src_gap=2)
    _implode(kb, kept, out, segment // 8)


def widen(kb: KernelBuilder, numbers: Ref, signs: Ref, out: Ref, limit: int) -> None:
    """s32 numbers and their sign words (0 or -1) → i64."""
    segment = -(-limit // UNIT) * 8
    exploded = ub_buffer(kb, segment * 4 * BLOCK)
    for words, place in ((numbers, 0), (signs, 2)):
        half = _explode(kb, words, segment // 8)
        kb.op("copy_ubuf_to_ubuf", "", exploded + place * BLOCK, half, bursts=segment, length=2, dst_gap=2)
    _implode(kb, exploded, out, segment // 4)
