"""What this compiler asks of an ONNX node: named constraints.

Each constraint is one small function: its docstring is the requirement a user reads, its result says
whether the node meets it and what it has instead. A handler calls `require(constraint, …)`; the importer
collects every refusal of the model before it reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeAlias

from ..dialects import dtypes
from ..dialects.nn_shapes import Shape

if TYPE_CHECKING:
    from .onnx_node import Value

P = ParamSpec("P")
Verdict: TypeAlias = tuple[bool, str]


MAX_SELECTION = 1 << 26
"""Pairs of an index and a position that one selection may compare."""


class RefusedError(Exception):
    """A node that cannot be imported; becomes a `Refusal` with the node's name. `value` is the operand whose
    value was needed and is not known, if that is the reason."""

    def __init__(self, requirement: str, actual: str, value: Value | None = None) -> None:
        super().__init__(requirement, actual)
        self.requirement = requirement
        self.actual = actual
        self.value = value


def require(constraint: Callable[P, Verdict], *args: P.args, **kwargs: P.kwargs) -> None:
    """Raises the refusal if the constraint does not hold."""
    valid, actual = constraint(*args, **kwargs)
    if not valid:
        raise RefusedError(requirement_of(constraint), actual)


def requirement_of(constraint: Callable[..., Verdict]) -> str:
    """The user-facing sentence."""
    return " ".join((constraint.__doc__ or constraint.__name__).split()).rstrip(".")


def operator_is_known(domain: str, op_type: str, opset: int) -> Verdict:
    """The operator must have a handler or an ONNX function body."""
    return False, f"no parser is registered for {domain or 'ai.onnx'}::{opset}::{op_type}"


def input_is_present(index: int, count: int) -> Verdict:
    """All required inputs must be given."""
    return False, f"input {index} of {count} is missing"


def input_is_absent(name: str, given: bool) -> Verdict:
    """Rare optional inputs must be left out."""
    return not given, f"{name} is given"


def attribute_is_present(name: str) -> Verdict:
    """All required attributes must be given."""
    return False, f"attribute {name} is missing"


def value_is_known(what: str, name: str) -> Verdict:
    """Shapes, axes and similar operands must be computable at compile time."""
    return False, f"{what} {name!r} depends on the data of the model's inputs"


def numbers_are_finite(what: str) -> Verdict:
    """Numbers must be finite: casts to f16 saturate at 65504, an infinity does not survive them."""
    return False, what


def element_type_is_known(what: str, code: int) -> Verdict:
    """Element types are f16, f32, f64, bf16, integers of 8 to 64 bits and bool."""
    return False, f"{what} has ONNX element type {code}"


def texts_are_embedded(name: str) -> Verdict:
    """String tensors hold their texts in string_data, as the standard says."""
    return False, f"tensor {name!r} has them in raw or external data"


def takes_texts(name: str, allowed: bool) -> Verdict:
    """Strings are operands of the String operators, of Equal, Cast, Where, Unique and of most moves only."""
    return allowed, f"{name!r} is a string tensor"


def rest_counts_nothing(is_row: bool) -> Verdict:
    """Texts whose number depends on data are counted in one row only, by a pool without the empty text."""
    return is_row, "there are several rows, or the pool has it"


def pads_with_nothing(is_empty: bool) -> Verdict:
    """Strings are padded with the empty text."""
    return is_empty, "another constant_value is given"


def texts_fit(what: str) -> Verdict:
    """A text has at most 252 bytes of UTF-8."""
    return False, what


def pattern_is_linear(problem: str) -> Verdict:
    """Patterns are RE2's: what needs backtracking (back references, look-around) has none of it."""
    return False, problem


def pieces_are_bounded(space: int, most: int) -> Verdict:
    """The most pieces that texts may have must fit 256 MiB; maxsplit bounds them."""
    return space <= most, f"{space} bytes"


def row_of_texts(shape: Shape) -> Verdict:
    """StringNormalizer takes a row [C] or [1, C]."""
    return len(shape) == 1 or (len(shape) == 2 and shape[0] == 1), f"shape {list(shape)}"


def row_of_bytes(shape: Shape, dtype: str) -> Verdict:
    """An encoded picture is a row of bytes."""
    return len(shape) == 1 and dtype == "u8", f"{dtype}{list(shape)}"


def picture_shape(shape: Shape, channels: int) -> Verdict:
    """A declared picture has rows, columns and the channels of its pixel_format."""
    return len(shape) == 3 and shape[2] == channels, f"shape {list(shape)} for {channels} channels"


def spatial_rank(shape: Shape) -> Verdict:
    """Spatial operators take 1-D and 2-D images (input rank 3 or 4)."""
    return len(shape) in (3, 4), f"input of shape {list(shape)}"


def image_rank(shape: Shape) -> Verdict:
    """The operator takes an image of rank 4."""
    return len(shape) == 4, f"input of shape {list(shape)}"


def spatial_list(name: str, values: Sequence[int], count: int) -> Verdict:
    """Spatial attributes have one entry per spatial axis (two for pads)."""
    return len(values) == count, f"{name} {list(values)} where {count} are expected"


def kernel_matches(kernel: Sequence[int], weight: Shape) -> Verdict:
    """kernel_shape must agree with the weight."""
    return tuple(kernel) == tuple(weight[2:]), f"kernel_shape {list(kernel)} with weight {list(weight)}"


def padding_mode(mode: str) -> Verdict:
    """auto_pad is one of NOTSET, VALID, SAME_UPPER, SAME_LOWER."""
    return mode in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad {mode}"


def output_is_unused(name: str, used: bool) -> Verdict:
    """Secondary outputs (indices, statistics, masks) must not be used."""
    return not used, f"output {name} is used"


def inference_only(training: bool) -> Verdict:
    """Only inference is compiled, not training mode."""
    return not training, "the node is in training mode"


def per_channel_statistics(spatial: int) -> Verdict:
    """BatchNormalization keeps statistics per channel (spatial = 1)."""
    return spatial == 1, f"spatial = {spatial}"


def word_is_known(name: str, word: str, allowed: Sequence[str]) -> Verdict:
    """Attribute words must be among those of the ONNX standard."""
    return word in allowed, f"{name} = {word} (known: {', '.join(allowed)})"


def tensors_only(attribute: str) -> Verdict:
    """Values must be dense tensors, not strings, sequences, maps or sparse tensors."""
    return False, f"{attribute} is not a dense tensor"


def divides(what: str, value: int, by: int) -> Verdict:
    """Groups and parts must divide their dimension."""
    return by > 0 and value % by == 0, f"{what} {value} in {by} parts"


def fits(message: str) -> Verdict:
    """Operands and attributes must fit each other."""
    return False, message


def groups_share_axes(axes: Sequence[int], rank: int) -> Verdict:
    """Axes must lie within the operand's rank, each once."""
    inside = all(0 <= axis < rank for axis in axes) and len(set(axes)) == len(axes)
    return inside, f"axes {list(axes)} of rank {rank}"


def range_is_small(count: int) -> Verdict:
    """Ranges are written out at compile time, up to 16 million elements."""
    return count <= 1 << 24, f"{count} elements"


def same_width(source: str, target: str) -> Verdict:
    """Bits can be read as another type of the same width only."""
    return dtypes.size_of(source) == dtypes.size_of(target), f"{source} as {target}"


def has_elements(shape: Shape) -> Verdict:
    """The operand must have elements."""
    return 0 not in shape, f"shape {list(shape)}"


def size_is_fixed(name: str) -> Verdict:
    """A tensor whose size depends on data can be an output of the model, but no operand."""
    return False, f"the size of {name!r} depends on data"


def work_is_small(elements: int) -> Verdict:
    """Selection by comparison takes one element of work for each pair of index and position, up to 2^26."""
    return elements <= MAX_SELECTION, f"{elements} pairs"


def row_is_sortable(length: int) -> Verdict:
    """Rows are sorted in up to 2048 blocks: rows up to 2^20 elements always fit."""
    return length <= 1 << 20, f"{length} elements"


def branches_match(first: Sequence[Shape], second: Sequence[Shape]) -> Verdict:
    """Branches that are chosen at run time must give tensors of the same shapes."""
    return list(first) == list(second), f"shapes {[list(s) for s in first]} and {[list(s) for s in second]}"


def steps_are_few(count: int) -> Verdict:
    """Loops and recurrences are written out step by step, up to 1024 steps."""
    return 0 <= count <= 1024, f"{count} steps"


def fixed_sampling(ratio: int) -> Verdict:
    """The number of samples per bin (sampling_ratio) must be fixed."""
    return ratio > 0, f"sampling_ratio = {ratio}, which means as many as the data needs"


def small_matrix(size: int, most: int) -> Verdict:
    """Determinants are written out, up to 4 rows."""
    return size <= most, f"{size} rows"


def is_sequence(name: str, is_list: bool) -> Verdict:
    """The operand must be a sequence that the model builds itself."""
    return is_list, f"{name!r} is a tensor"


def no_sequence(name: str) -> Verdict:
    """Operands must be tensors; sequences and optionals exist during import and at the model's border only."""
    return False, f"{name!r} is a sequence or an optional"


def holds_something(name: str, present: bool) -> Verdict:
    """An optional whose element is taken must hold one."""
    return present, f"{name!r} holds nothing"


def position_is_inside(position: int, length: int) -> Verdict:
    """A position must lie inside the sequence."""
    return -length <= position < length, f"position {position} of {length}"


def indices_are_inside(indices: Sequence[int], length: int) -> Verdict:
    """Indices that are known must lie inside the axis; of those computed at run time, one outside takes the nearest
    position."""
    outside = next((i for i in indices if not -length <= i < length), None)
    return outside is None, f"index {outside} of an axis of {length}"


def ratio_is_below_one(ratio: float) -> Verdict:
    """Dropout keeps something: its ratio is below 1."""
    return 0 <= ratio < 1, f"ratio {ratio}"


def is_model_input(name: str, given: bool) -> Verdict:
    """Infinities are looked for in inputs of the model only: what is computed saturates at 65504 in f16."""
    return given, f"{name!r} is computed"


def loop_free(op_type: str) -> Verdict:
    """The number of iterations must be known at compile time."""
    return False, f"{op_type} depends on the data of the model's inputs"


def attribute_is_zero(name: str, value: int) -> Verdict:
    """Rare settings of fused operators must have their default."""
    return not value, f"{name} = {value}"


def operand_is_left_out(name: str, is_absent: bool) -> Verdict:
    """Rare operands of fused operators must be left out."""
    return is_absent, f"{name} is given"


def mask_of_positions(shape: Sequence[int], wanted: Sequence[int]) -> Verdict:
    """A mask has a number for each position [batch, (rows,) positions], or its end, or end and beginning, for each of
    the batch."""
    batch, rows, total = wanted
    forms = ((batch, total), (batch, rows, total), (batch,), (2 * batch,), (3 * batch + 2,))
    return tuple(shape) in forms, f"a mask of shape {list(shape)} for {list(wanted)}"


def bits_of_weights(bits: int) -> Verdict:
    """Packed weights have 4 or 8 bits per number."""
    return bits in (4, 8), f"{bits} bits"


def is_weight(name: str, known: bool) -> Verdict:
    """Packed weights, their scales and zero points must be constants."""
    return known, f"{name} is computed"
