"""The move generator: kernels for every op that only moves elements.

`ascend.trans_data` and the ops of `ascend.group … engine move` are described as index maps (`move_maps`,
`move_formats`), whatever they are called, and made into a kernel by what their strides are:

* *transpose*: neighbours in the output are no neighbours in the input (`move_transpose`);
* *rows*: output rows are input rows, chosen, repeated or put together from pieces (`move_rowwise`);
* *columns*: rows too long for UB, out of column blocks (`move_columns`);
* *aligned*: boxes of whole 32-byte blocks, plain DMA (`move_runs`);
* *long*: a few long runs at any byte (`move_runs`);
* *placed*: runs at any byte, too short to share each of them (`move_placed`);
* *gathered*: rows whose numbers stand in memory (`move_gather`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from xdsl.ir import Operation, SSAValue

from ..dialects import ascend, davinci, nn
from ..dialects.dtypes import size_of
from ..runtime.errors import AscendError
from ..runtime.soc import Soc
from .kernel_builder import KernelBuilder, Ref
from .move_columns import LongRows, emit_long_rows, long_rows_of
from .move_formats import Columns, format_work
from .move_gather import Gathered, emit_gathered, gathered_of
from .move_maps import Move, in_words, move_of
from .move_placed import Placed, emit_placed, placed_of
from .move_problem import Axis, Box
from .move_rowwise import Input, Piece, RowPlan, Rowwise, RowwiseEmitter, choose_rows, tiles_of
from .move_runs import (
    TILE_BYTES,
    box_grid,
    emit_aligned,
    emit_long_runs,
    fill_buffer,
    is_aligned,
    is_straight,
    long_run_blocks,
    run_bytes,
    split_long,
)
from .move_separable import boxes_of, rowwise_of
from .move_transpose import TransposeEmitter
from .move_turn import Plan, Transposition, as_single_column, as_transposition, choose_plan, make_grid
from .tails import BLOCK, ceil_div

MoveOp = ascend.GroupOp | ascend.TransDataOp
LONG_RUN = 4096  # bytes from which a run is worth its own loop
FEW_RUNS = 4  # so few runs are shared by all cores even if they are short
WOVEN_ROWS = 4  # input rows that are woven into one output row


@dataclass(frozen=True)
class Turn:
    """One transposition."""

    move: Transposition
    plan: Plan


@dataclass(frozen=True)
class Rows:
    """Output rows put together."""

    move: Rowwise
    plan: RowPlan


@dataclass(frozen=True)
class Boxes:
    """Straight boxes; `aligned` or long runs.  `partial` is a box of blocks with `keep` valid elements
    each.
    """

    boxes: tuple[Box, ...]
    size: int
    aligned: bool
    blocks: int
    fill: int = 0
    keep: int = 0
    partial: tuple[Box, ...] = field(default=())


Work = Turn | Rows | Boxes | LongRows | Gathered | Placed


# ------------------------------------------------------------------------------------------------ decisions
def work_of(op: MoveOp, soc: Soc) -> Work:
    """What kind of kernel `op` becomes on `soc`, with its tile sizes.

    Raises:
        AscendError: no kernel exists for it.
    """
    try:
        return _scheduled(_work(op, soc), op)
    except ValueError as error:
        raise AscendError(
            "E20030", f"no move kernel: {error}", expected="a move that the layouts contract lists"
        ) from error


def _scheduled(work: Work, op: MoveOp) -> Work:
    """Tile sizes that the group's schedule gives replace the generator's own."""
    given = op.schedule.values if isinstance(op, ascend.GroupOp) else {}
    numbers = {key: v for key, v in given.items() if isinstance(v, int)}
    if isinstance(work, Turn):
        plan = work.plan
        batch, columns = numbers.get("batch", plan.batch), numbers.get("columns", plan.columns)
        return Turn(work.move, Plan(batch, columns, numbers.get("split", plan.split)))
    if isinstance(work, Rows):
        cut, steps = numbers.get("cut", work.plan.cut), numbers.get("steps", work.plan.steps)
        return Rows(work.move, RowPlan(cut, steps, numbers.get("depth", work.plan.depth)))
    return work


def _work(op: MoveOp, soc: Soc) -> Work:
    if isinstance(op, ascend.TransDataOp):
        return _format(op.source, op.result, soc)
    body = [o for o in op.body.block.ops if not isinstance(o, nn.YieldOp | nn.ConstantOp)]
    if len(body) != 1:
        raise ValueError(f"{len(body)} ops in one group")
    if isinstance(body[0], nn.CastOp):
        return _format(op.inputs[0], op.outputs[0], soc)
    if isinstance(body[0], nn.ToTermsOp):
        return _terms(op.inputs[0], op.outputs[0], soc)
    layouts = {ascend.layout_of(v) for v in (*op.inputs, *op.outputs)}
    if isinstance(body[0], nn.ReshapeOp) and len(layouts) > 1:
        return _format(op.inputs[0], op.outputs[0], soc)
    if len(layouts) != 1:
        raise ValueError(f"{body[0].name} between {', '.join(map(str, layouts))}")
    return _of_op(body[0], op, soc)


def _of_op(body: Operation, group: ascend.GroupOp, soc: Soc) -> Work:
    dtype, out = ascend.dtype_of(group.outputs[0]), ascend.shape_of(group.outputs[0])
    sources = [ascend.shape_of(v) for v in group.inputs]
    layout = ascend.layout_of(group.outputs[0])
    if isinstance(body, nn.GatherOp):
        sizes = size_of(dtype), size_of(ascend.dtype_of(group.inputs[1]))
        table, indices = sources
        return gathered_of(table, indices, body.axis.value.data, sizes, soc.cores)
    if isinstance(body, nn.ReshapeOp | nn.BitCastOp):
        elements = layout.elements(out, size_of(dtype))
        move = in_words(Move(size_of(dtype), elements, Box((Axis(elements, 1, 1),))))
        return work_of_move(move, soc)
    return work_of_move(move_of(body, sources, out, dtype, layout), soc)


def _format(source: SSAValue, result: SSAValue, soc: Soc) -> Work:
    """A change of format, with a cast when the types differ."""
    sizes = [size_of(ascend.dtype_of(v)) for v in (source, result)]
    types = {ascend.dtype_of(v) for v in (source, result)}
    if len(types) > 1 and types != {"f16", "f32"}:
        raise ValueError(f"a cast between {' and '.join(sorted(types))}")
    a, b = ascend.layout_of(source), ascend.layout_of(result)
    found = format_work(a, b, ascend.shape_of(result), sizes[0], sizes[1])
    if isinstance(found, Transposition):
        return Turn(found, choose_plan(found, soc))
    if isinstance(found, Box):
        return work_of_box(found, sizes[0], soc)
    if isinstance(found, Rowwise):
        plan = choose_rows(found, soc)
        if plan is not None:
            return Rows(found, plan)
        long = long_rows_of(a, b, ascend.shape_of(result), sizes[0]) if len(types) == 1 else None
        if long is None:
            raise ValueError(f"rows of {found.row_bytes} bytes do not fit")
        return long
    return _columns(found, sizes[1], soc)


def _terms(source: SSAValue, result: SSAValue, soc: Soc) -> Work:
    """f32 planes to NC1HWC0 in two terms (`nn_terms`), all in the lanes of one block."""
    shape, channels = ascend.shape_of(source), ascend.shape_of(result)[1]
    layouts = ascend.layout_of(source), ascend.layout_of(result)
    sizes = size_of(ascend.dtype_of(source)), size_of(ascend.dtype_of(result))
    found = format_work(*layouts, shape, *sizes)
    if not isinstance(found, Transposition) or channels > found.row_count:
        raise ValueError(f"terms of {shape[1]} channels in {layouts[1]}")
    turn = replace(found, lanes_total=channels, loaded=shape[1])
    return Turn(turn, choose_plan(turn, soc))


def _columns(found: Columns, size: int, soc: Soc) -> Work:
    boxes = tuple(split_long((*found.boxes, *found.zeros), size, soc.cores))
    partial = (found.partial,) if found.partial is not None else ()
    return Boxes(boxes, size, True, _aligned_blocks((*boxes, *partial), size, soc), 0, found.keep, partial)


def _aligned_blocks(boxes: Sequence[Box], size: int, soc: Soc) -> int:
    return max(box_grid(box, size, soc.cores)[0].blocks(soc.cores) for box in boxes)


def work_of_box(box: Box, size: int, soc: Soc) -> Work:
    """A whole output that is one affine box."""
    axes = box.axes or (Axis(1, 1, 1),)
    box = Box(axes, box.out_base, box.src_base, box.source)
    wide = _wider_elements(box, size)
    if wide is not None:
        return work_of_box(*wide, soc)
    turn = as_transposition(axes, size, box.out_base, box.src_base)
    if turn is not None:
        return _turn_or_weave(turn, size, soc)
    if not is_straight(box):
        return _last_axis(box, size, soc)
    if is_aligned(box, size) and (run_bytes(box, size) >= 8 * BLOCK or len(axes) == 1):
        boxes = tuple(split_long([box], size, soc.cores))
        return Boxes(boxes, size, True, _aligned_blocks(boxes, size, soc))
    blocks = long_run_blocks([box], size, soc)
    longest = LONG_RUN if prod(a.extent for a in axes[:-1]) > FEW_RUNS else 0
    if run_bytes(box, size) >= longest and blocks >= min(soc.cores, 8):
        return Boxes((box,), size, False, blocks)
    rows = tuple(Axis(a.extent, 0, a.src) for a in axes[:-1]) or (Axis(1, 0, 0),)
    width = axes[-1].extent
    move = Rowwise(
        tuple(a.extent for a in rows), width, (Input(rows, width, box.src_base),), (Piece(0, width, 0),), size
    )
    plan = choose_rows(move, soc)
    if plan is not None:
        return Rows(move, plan)
    if not blocks:
        raise ValueError(f"runs of {run_bytes(box, size)} bytes")
    return Boxes((box,), size, False, blocks)


def _wider_elements(box: Box, size: int) -> tuple[Box, int] | None:
    """A turn of pairs (or more) of elements is a turn of elements of 4 or 8 bytes: no DMA for each pair."""
    *outer, last = box.axes
    if not outer or last.out != 1 or last.src != 1 or last.extent * size not in (2, 4, 8):
        return None
    steps = [step for a in outer for step in (a.out, a.src)]
    if any(step % last.extent for step in (*steps, box.out_base, box.src_base)):
        return None
    axes = tuple(Axis(a.extent, a.out // last.extent, a.src // last.extent) for a in outer)
    base = box.out_base // last.extent, box.src_base // last.extent
    if as_transposition(axes, last.extent * size, *base) is None:
        return None
    return Box(axes, *base, box.source), last.extent * size


def _turn_or_weave(turn: Transposition, size: int, soc: Soc) -> Work:
    """Small matrices of a few rows (pixel shuffle) are woven from rows instead: 16 matrices at a time."""
    plan = choose_plan(turn, soc)
    tile = plan.batch * plan.columns * turn.row_count * size
    w, row, one_axis = turn.column.extent, turn.rows[-1], len(turn.rows) == 1
    if turn.row_count > WOVEN_ROWS or tile >= LONG_RUN or not one_axis or not turn.outer:
        return Turn(turn, plan)
    rows = tuple(Axis(a.extent, 0, a.src) for a in turn.outer)
    inputs = tuple(Input(rows, w, turn.src_base + k * row.src) for k in range(row.extent))
    pieces = tuple(Piece(k, w, k, 0, row.extent) for k in range(row.extent))
    move = Rowwise(tuple(a.extent for a in rows), w * row.extent, inputs, pieces, size)
    woven = choose_rows(move, soc)
    if woven is None or tiles_of(move, woven).grid.parallel < min(soc.cores, make_grid(turn, plan).parallel):
        return Turn(turn, plan)
    return Rows(move, woven)


def _last_axis(box: Box, size: int, soc: Soc) -> Work:
    """The innermost output axis steps or repeats in the input: pieces of rows."""
    last = box.axes[-1]
    rows = tuple(Axis(a.extent, 0, a.src) for a in box.axes[:-1]) or (Axis(1, 0, 0),)
    step, count = last.src, last.extent
    width = (count - 1) * abs(step) + 1
    base = box.src_base if step >= 0 else box.src_base + (count - 1) * step
    start = 0 if step >= 0 else width - 1
    piece = Piece(0, count, 0, start, 1, step)
    move = Rowwise(tuple(a.extent for a in rows), count, (Input(rows, width, base),), (piece,), size)
    plan = choose_rows(move, soc)
    turn = as_single_column(box.axes, size, box.out_base, box.src_base)
    if turn is not None and (plan is None or (abs(step) * size > 4 * BLOCK and len(box.axes) == 1)):
        return Turn(turn, choose_plan(turn, soc))
    if plan is None:
        raise ValueError(f"a step of {step} over {count} elements")
    return Rows(move, plan)


def work_of_move(move: Move, soc: Soc) -> Work:
    """Any op on physical, row-major shapes."""
    if move.box is not None:
        return work_of_box(move.box, move.size, soc)
    s, size = move.separable, move.size
    assert s is not None
    boxes = boxes_of(s)
    if boxes is not None:
        boxes = [Box(b.axes or (Axis(1, 1, 1),), b.out_base, b.src_base, b.source) for b in boxes]
        if len(boxes) == 1 and boxes[0].source >= 0 and len(s.sources) == 1:
            return work_of_box(boxes[0], size, soc)
        straight = all(is_straight(b) for b in boxes)
        shortest = min(run_bytes(b, size) for b in boxes)
        is_few = sum(prod(a.extent for a in b.axes[:-1]) for b in boxes) <= FEW_RUNS
        if straight and all(is_aligned(b, size) for b in boxes) and (shortest >= 8 * BLOCK or is_few):
            pieces = tuple(split_long(boxes, size, soc.cores))
            return Boxes(pieces, size, True, _aligned_blocks(pieces, size, soc), s.fill)
        is_few = is_few and long_run_blocks(boxes, size, soc) >= soc.cores and _alternate(boxes)
        if straight and (shortest >= LONG_RUN or is_few):
            return _long(boxes, size, s.fill, soc)
        placed = placed_of(boxes, size, s.fill, soc.cores) if straight else None
        if placed is not None:
            return placed
    last = max((i for i in range(len(s.out)) if not s.keeps(i)), default=0)
    best: tuple[int, Rows] | None = None
    for axis in range(last, len(s.out)):
        rowwise = rowwise_of(s, axis, size)
        plan = choose_rows(rowwise, soc) if rowwise is not None else None
        if rowwise is None or plan is None:
            continue
        total = min(soc.cores, tiles_of(rowwise, plan).grid.parallel)
        if best is None or total > best[0]:
            best = total, Rows(rowwise, plan)
    if best is not None:
        return best[1]
    return _remaining(boxes, size, s.fill, soc)


def _remaining(boxes: list[Box] | None, size: int, fill: int, soc: Soc) -> Work:
    """Rows too long for UB: as runs."""
    if boxes is not None and all(is_straight(b) for b in boxes):
        if all(is_aligned(b, size) for b in boxes):
            pieces = tuple(split_long(boxes, size, soc.cores))
            return Boxes(pieces, size, True, _aligned_blocks(pieces, size, soc), fill)
        if long_run_blocks(boxes, size, soc):
            return _long(boxes, size, fill, soc)
    raise ValueError("rows too long for UB with pieces too short for DMA")


def _long(boxes: list[Box], size: int, fill: int, soc: Soc) -> Boxes:
    """Runs that alternate in the output are shared by all blocks; otherwise one block does them."""
    blocks = long_run_blocks(boxes, size, soc) if _alternate(boxes) else 1
    return Boxes(tuple(sorted(boxes, key=lambda box: box.out_base)), size, False, blocks, fill)


def _alternate(boxes: Sequence[Box]) -> bool:
    """Whether the boxes take turns in the output: sources put together do, and boxes of one run.  The runs of pads along
    several axes nest."""
    return all(box.source >= 0 for box in boxes) or all(
        prod(a.extent for a in box.axes[:-1]) == 1 for box in boxes
    )


# ------------------------------------------------------------------------------------------------- emission
def choose_schedule(op: MoveOp, soc: Soc) -> dict[str, int | str]:
    """The choices of the generator for `op` on `soc`, by name."""
    match work_of(op, soc):
        case Turn(_, plan):
            return {"kind": "transpose", "batch": plan.batch, "columns": plan.columns, "split": plan.split}
        case Rows(_, plan):
            return {"kind": "rows", "cut": plan.cut, "steps": plan.steps, "depth": plan.depth}
        case Boxes() as work:
            return {"kind": "aligned" if work.aligned else "long", "blocks": work.blocks}
        case LongRows():
            return {"kind": "columns"}
        case Gathered() as work:
            return {"kind": "gathered", "pieces": work.pieces}
        case Placed() as work:
            return {"kind": "placed", "blocks": len(work.parts)}


def generate(op: MoveOp, soc: Soc, name: str) -> davinci.KernelOp:
    """The kernel that performs `op`; arguments are the inputs, then the result."""
    count = 1 if isinstance(op, ascend.TransDataOp) else len(op.inputs)
    return emit(work_of(op, soc), soc, name, count)


def emit(work: Work, soc: Soc, name: str, inputs: int) -> davinci.KernelOp:
    """The kernel of `work`."""
    match work:
        case Turn(move, plan):
            blocks = make_grid(move, plan).blocks(soc.cores)
        case Rows(move, plan):
            blocks = tiles_of(move, plan).grid.blocks(soc.cores)
        case Boxes():
            blocks = max(1, work.blocks)
        case LongRows():
            blocks = work.grid.blocks(soc.cores)
        case Gathered():
            blocks = min(soc.cores, work.units)
        case Placed():
            blocks = len(work.parts)
    kb = KernelBuilder(name, soc, inputs + 1, blocks)
    *srcs, dst = kb.args
    match work:
        case Turn(move, plan):
            TransposeEmitter(kb, move, plan, srcs[0], dst).emit()
        case Rows(move, plan):
            RowwiseEmitter(kb, move, plan, srcs, dst).emit()
        case Boxes():
            _emit_boxes(kb, work, srcs, dst)
        case LongRows():
            emit_long_rows(kb, work, srcs[0], dst)
        case Gathered():
            emit_gathered(kb, work, srcs[0], srcs[1], dst)
        case Placed():
            emit_placed(kb, work, srcs, dst)
    return kb.kernel


def _emit_boxes(kb: KernelBuilder, work: Boxes, srcs: Sequence[Ref], dst: Ref) -> None:
    fill = None
    if any(box.source < 0 for box in work.boxes):
        fill = fill_buffer(kb, work.fill, work.size, ceil_div(TILE_BYTES, BLOCK))
    if not work.aligned:
        emit_long_runs(kb, work.boxes, work.size, srcs, dst, fill)
        return
    for box in work.boxes:
        emit_aligned(kb, box, work.size, srcs, dst, fill)
    for box in work.partial:
        emit_aligned(kb, box, work.size, srcs, dst, None, work.keep)
