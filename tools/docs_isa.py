"""`docs/isa.md`: the instruction table and the SoC files as a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from ..runtime.isa import (
    absent,
    record,
    rows_cross,
    rows_cube,
    rows_move,
    rows_scalar,
    rows_scatter,
    rows_select,
    rows_sort,
    rows_split,
    rows_split_vector,
    rows_vector,
)
from ..runtime.isa.model import SPACES, VECTOR_REGISTERS, Instruction, Scalar, StateField
from ..runtime.isa.table import ATOMIC_NAMES, INSTRUCTIONS, STATE_GROUPS
from ..runtime.sim.definedness import CARRIES
from ..runtime.soc import CoreType, Soc, load_soc, soc_names
from .docs_markdown import code, document, prose
from .docs_markdown import table as markdown_table

_SECTIONS: Final = (
    (
        "Scalar unit, control flow, flags and registers",
        rows_scalar,
        (*rows_scalar.SCALAR_ROWS, *rows_split.SPLIT_STATE_ROWS),
    ),
    ("Several cores", rows_cross, rows_cross.CROSS_ROWS),
    ("Data movement", rows_move, (*rows_move.MOVE_ROWS, *rows_split.ALIGN_ROWS)),
    ("Cube", rows_cube, rows_cube.CUBE_ROWS),
    ("Vector unit", rows_vector, rows_vector.VECTOR_ROWS),
    ("Sorting", rows_sort, rows_sort.SORT_ROWS),
    ("Selecting and rearranging", rows_select, rows_select.SELECT_ROWS),
    ("Blocks anywhere", rows_scatter, rows_scatter.SCATTER_ROWS),
    ("Cube core of split chips", rows_split, rows_split.SPLIT_ROWS),
    ("Vector core of split chips", rows_split_vector, rows_split_vector.SPLIT_VECTOR_ROWS),
)
_INTRO: Final = """
One table (`runtime/isa`) drives the ops of the `davinci` dialect, encoder, decoder, assembler, disassembler,
simulator and this document. Which instruction takes which data type, and every timing number, stands in the
SoC files (`runtime/socs/*.toml`), each with its source. Marks such as [CSIM] or [ASC] name the public sources
of a fact. A block is 32 bytes.
"""


def isa_document() -> str:
    """The text of `docs/isa.md`."""
    socs = [load_soc(name) for name in soc_names()]
    parts = [
        _INTRO,
        *_chips(socs),
        *_encoding(),
        *_state(),
        *_vector_registers(),
        "## Instructions\n",
        _overview(),
    ]
    for title, module, rows in _SECTIONS:
        parts += [f"## {title}\n", prose(module.__doc__), *(_instruction(row, socs) for row in rows)]
    parts += ["## Absent\n", prose(absent.__doc__), _absent()]
    return document("Instruction set", "runtime/isa and runtime/socs", parts)


# ----------------------------------------------------------------------------------------------- the chip


def _chips(socs: list[Soc]) -> Iterator[str]:
    yield "## Chips\n"
    rows: list[tuple[str, ...]] = [
        ("architecture", *(soc.arch for soc in socs)),
        ("cores", *(_cores(soc) for soc in socs)),
        ("clock, MHz", *(str(soc.clock_mhz) for soc in socs)),
        ("L2, bytes", *(str(soc.l2_bytes) for soc in socs)),
    ]
    spaces = [space for space in SPACES if space != "gm"]
    for space in spaces:
        rows.append((f"{space}, bytes (alignment)", *(_memory(soc, space) for soc in socs)))
    rows += [
        ("pipes beside S", *(_each(soc, lambda core: " ".join(core.pipes)) for soc in socs)),
        ("img2col version", *(_each(soc, lambda core: str(core.load3d or "")) for soc in socs)),
        ("event ids per pipe pair", *(_each(soc, lambda core: str(core.event_ids)) for soc in socs)),
        ("queue entries per pipe", *(_each(soc, lambda core: str(core.queue_depth)) for soc in socs)),
        (
            "counter mode",
            *(_each(soc, lambda core: "yes" if core.has_counter_mode else "no") for soc in socs),
        ),
        ("flags between cores", *(_each(soc, lambda core: str(core.cross_core_flags)) for soc in socs)),
        ("stores accumulate", *(_each(soc, _atomics) for soc in socs)),
    ]
    yield markdown_table(("", *(soc.name for soc in socs)), rows)


def _cores(soc: Soc) -> str:
    if not soc.is_split:
        return str(soc.cores)
    return ", ".join(f"{count} {kind.upper()}" for kind, count in soc.counts.items())


def _memory(soc: Soc, space: str) -> str:
    """Size and alignment, and on split chips which kind of core has it."""
    found = [(kind, core.buffers[space]) for kind, core in soc.core_types.items() if space in core.buffers]
    return (
        ", ".join(
            f"{buffer.size} ({buffer.align})" + (f" {kind.upper()}" if soc.is_split else "")
            for kind, buffer in found
        )
        or "none"
    )


def _each(soc: Soc, value: Callable[[CoreType], str]) -> str:
    """A property of the core, or of each kind of core where they differ."""
    values = {kind: value(core) for kind, core in soc.core_types.items()}
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{text} {kind.upper()}" for kind, text in values.items() if text)


def _atomics(core: CoreType) -> str:
    """`add f32 f16, max f32`: operations and types."""
    found: dict[str, list[str]] = {}
    for name in ATOMIC_NAMES[1:]:
        if name in core.atomics:
            operation, kind = name.split("_")
            found.setdefault(operation, []).append(kind)
    by_types: dict[str, list[str]] = {}
    for operation, kinds in found.items():
        by_types.setdefault(" ".join(kinds), []).append(operation)
    return "; ".join(f"{'/'.join(operations)} {kinds}" for kinds, operations in by_types.items())


def _encoding() -> Iterator[str]:
    yield "## Machine code\n"
    yield prose(record.__doc__)


def _state() -> Iterator[str]:
    yield "## Special registers\n"
    yield (
        "In the `davinci` dialect a value of a special register is an operand of the instruction that "
        "reads it; `davinci-materialize-state` writes the `set_*` instructions. The machine captures the "
        "values at issue.\n"
    )
    yield markdown_table(
        ("group", "written by", "value", "range", "at kernel start", ""),
        (
            (
                group.name,
                code(group.setter),
                code(value.name),
                _range(value.low, value.high),
                _number(value.default, value.low == -(1 << 63)),
                value.doc,
            )
            for group in STATE_GROUPS.values()
            for value in group.fields
        ),
    )


def _vector_registers() -> Iterator[str]:
    yield (
        "An instruction of pipe V that writes one of these does so in its pipe: whoever reads it needs a barrier "
        "(pipe V) or a flag (the scalar unit) in between, like for bytes in memory.\n"
    )
    rows = (
        (
            code(name),
            doc,
            ", ".join(code(row.mnemonic) for row in INSTRUCTIONS if name in row.writes),
            ", ".join(code(row.mnemonic) for row in INSTRUCTIONS if name in row.reads),
        )
        for name, doc in VECTOR_REGISTERS.items()
    )
    yield markdown_table(("register", "", "written by", "read by"), rows)


def _number(value: int, wide: bool) -> str:
    return "all ones" if wide and value == -1 else str(value)


def _range(low: int, high: int) -> str:
    if (low, high) == (-(1 << 63), (1 << 63) - 1):
        return "64 bits"
    return f"{low} … {high}"


# ------------------------------------------------------------------------------------------- instructions


def _overview() -> str:
    rows = (
        (
            f"{row.opcode:#04x}",
            f"[`{row.mnemonic}`](#{row.mnemonic})",
            row.pipe,
            row.doc if row.doc not in _BARE else row.formula,
        )
        for row in INSTRUCTIONS
    )
    return markdown_table(("opcode", "mnemonic", "pipe", ""), rows)


_BARE: Final = ("elementwise", "vector with scalar", "reduction")


def _instruction(row: Instruction, socs: list[Soc]) -> str:
    lines = [
        f"### {row.mnemonic}\n",
        f"Opcode {row.opcode:#04x}, pipe {row.pipe}. {row.doc}.\n".replace("..", "."),
    ]
    if row.formula:
        lines.append(f"    {row.formula}\n")
    lines.append(_operands(row))
    if row.state:
        names = (code(value.name) for name in row.state for value in STATE_GROUPS[name].fields)
        lines.append(f"Reads state: {', '.join(names)}.\n")
    for verb, registers in (("Reads", row.reads), ("Writes", row.writes)):
        lines += [f"{verb} register: {', '.join(map(code, registers))}.\n"] if registers else []
    lines += [_types(row, socs), _timing(row, socs)]
    lines += [f"Faults: {'; '.join(_faults(row)) or 'none'}.\n", f"Source: {row.source}.\n"]
    return "\n".join(line for line in lines if line)


_ALIGNMENT: Final = {
    "vector_reduce": "destination not aligned to an element (vcadd), a pair (vcmax, vcmin) or 8 elements, source not to 32 bytes",
    "vector_compare": "bits not aligned to 16 bytes (8 for 32-bit types), other operands not to 32 bytes",
    "l0c": "UB address not aligned to 32 bytes, L0C address not to a fractal (512 bytes in 16-bit types, else 1024)",
    "load": "L0 address not aligned to 512 bytes, other addresses of fractals not to 512, of feature maps and UB not to 32",
    "cube": "",  # in the row
    "dma": "",
    "scalar": "",  # words may lie anywhere
}
_OVERLAPPING: Final = ("vector_binary", "vector_unary", "vector_scalar", "vector_conv", "vector_select")


def _set_values(row: Instruction) -> tuple[StateField, ...]:
    """The values of the special register that `row` writes."""
    return next((group.fields for group in STATE_GROUPS.values() if group.setter == row.mnemonic), ())


def _whole_word(value: StateField) -> bool:
    return (value.low, value.high) == (-(1 << 63), (1 << 63) - 1)


def _faults(row: Instruction) -> list[str]:
    """What is checked for rows of this kind, then the row's own rules."""
    found: list[str] = []
    if row.intrinsic:
        found.append("the chip has it not, or not for the type")
    if row.family == "state" and any(not _whole_word(value) for value in _set_values(row)):
        found.append("a value outside the range of the special register")
    elif row.fields or row.state:
        found.append("an operand from a register is outside its range")
    if row.addresses:
        own = "outside the buffer" in " ".join(row.faults)
        found += [] if own else ["bytes outside the memory"]
        alignment = _ALIGNMENT.get(row.family, "an address not aligned to 32 bytes")
        found += [alignment] if alignment else []
        if any(address.reads for address in row.addresses):
            found.append(
                "with the hazard check: undefined bytes in a result of the model"
                if row.family in CARRIES
                else "with the hazard check: computes with undefined bytes"
            )
    if row.family in _OVERLAPPING:
        found.append("a repeat reads what an earlier one wrote")
    return [*found, *row.faults]


def _operands(row: Instruction) -> str:
    if not row.addresses and not row.values:
        return "No operands.\n"
    rows: list[tuple[object, ...]] = []
    uses = {"r": "read", "w": "written", "rw": "read and written"}
    for address in row.addresses:
        rows.append(
            (code(address.name), "address", ", ".join(address.spaces), uses[address.access], "", address.doc)
        )
    for scalar in row.scalars:
        rows.append(
            (
                code(scalar.name),
                "scalar",
                "64 bits",
                _scalar_use(scalar),
                _default(scalar.default),
                scalar.doc,
            )
        )
    for field in row.fields:
        words = "; ".join(f"{i} {word}" for i, word in enumerate(field.choices))
        rows.append(
            (
                code(field.name),
                "field",
                _range(field.low, field.high),
                field.unit,
                _default(field.default),
                "; ".join(text for text in (field.doc, words) if text),
            )
        )
    return markdown_table(("operand", "kind", "memory or range", "use or unit", "default", ""), rows)


def _scalar_use(scalar: Scalar) -> str:
    return {"": "immediate or register", "w": "register, written", "rw": "register, read and written"}[
        scalar.register
    ]


def _default(value: int | None) -> str:
    return "" if value is None else str(value)


def _types(row: Instruction, socs: list[Soc]) -> str:
    if not row.intrinsic and not row.types:
        kinds = "64-bit integers" if row.family == "scalar" else "none"
        return f"Data types: {kinds}, on every chip.\n"
    lines: list[tuple[str, str]] = []
    for soc in socs:
        values = {
            kind: " ".join(dtype for dtype in row.types if core.supports(row.intrinsic, dtype))
            or ("bytes of any type" if row.addresses else "64 bits")
            for kind, core in soc.core_types.items()
            if _has(core, row)
        }
        parts = [text + (f" ({kind.upper()})" if soc.is_split else "") for kind, text in values.items()]
        lines.append((soc.name, ", ".join(parts) or "not on this chip"))
    return _per_soc("Data types", lines)


def _has(core: CoreType, row: Instruction) -> bool:
    """Whether a kind of core has the instruction: listed, with a pipe and memories for it."""
    if row.pipe != "S" and row.pipe not in core.pipes:
        return False
    if row.types and not any(core.supports(row.intrinsic, dtype) for dtype in row.types):
        return False
    spaces = (set(address.spaces) for address in row.addresses)
    return core.supports(row.intrinsic) and all(found & {"gm", *core.buffers} for found in spaces)


def _per_soc(title: str, lines: Iterable[tuple[str, str]]) -> str:
    """One line when all chips agree, else one per distinct value."""
    by_value: dict[str, list[str]] = {}
    for name, value in lines:
        by_value.setdefault(value, []).append(name)
    if len(by_value) == 1:
        return f"{title}: {next(iter(by_value))}.\n"
    return (
        "\n".join([f"{title}:", "", *(f"* {', '.join(names)}: {value}" for value, names in by_value.items())])
        + "\n"
    )


# ------------------------------------------------------------------------------------------------- timing


def _timing(row: Instruction, socs: list[Soc]) -> str:
    having = [soc for soc in socs if any(_has(core, row) for core in soc.core_types.values())]
    return _per_soc(
        f"Timing class `{row.timing}`", [(soc.name, _cycles(row, soc.timing)) for soc in having or socs]
    )


def _cycles(row: Instruction, timing: Mapping[str, Any]) -> str:
    """The numbers of the SoC file that decide how long the instruction takes, and if no source gives them."""
    guess = timing["unsourced"].get(row.timing)
    return _numbers(row, timing) + (f" (**no source**: {guess})" if guess else "")


def _numbers(row: Instruction, timing: Mapping[str, Any]) -> str:
    vector: Mapping[str, Mapping[str, list[int]]] = timing["vector"]
    path: Mapping[str, Mapping[str, int]] = timing["path"]
    if row.family.startswith("vector") and row.timing in vector:
        entries = vector[row.timing].items()
        each = (
            f"{kind}: {rate} B/cycle · {factor}, result {fixed} later"
            for kind, (rate, factor, fixed) in entries
        )
        return "; ".join(each).replace(" · 1,", ",")
    if row.timing in path:
        text = f"{path[row.timing]['rate']} B/cycle, result {path[row.timing]['fixed']} later"
        return text + (f"; {_gm(timing['gm'], row)}" if "gm" in row.timing else "")
    if row.timing == "load2d_gm":
        return _gm(timing["gm"], row)
    if row.timing == "mad":
        cube = timing["cube"]
        return (
            f"⌈m/16⌉ · ⌈n/16⌉ · ⌈k/{cube['kstep_16']}⌉ ({cube['kstep_8']} for 8-bit types{_wide_steps(cube)}) "
            f"+ {cube['overhead']} cycles, result {cube['fixed'] - cube['overhead']} later; "
            f"{cube['noop']} when m, k or n is 0"
        )
    return _small(row, timing)


def _wide_steps(cube: Mapping[str, int]) -> str:
    names = {"kstep_f32": "f32", "kstep_hf32": "HF32"}
    return "".join(f", {cube[key]} for {name}" for key, name in names.items() if key in cube)


def _small(row: Instruction, timing: Mapping[str, Any]) -> str:
    l0 = timing["l0"]
    if row.family == "load":
        kind = "load3d" if row.timing == "load3d" else "load2d"
        rates = f"{l0['l0a_rate']} B/cycle into L0A, {l0['l0b_rate']} into L0B"
        if "ub" in row.addresses[0].spaces:
            rates += f", {l0['ub_rate']} into UB (**no source**: as into L0A, at most what l1_to_ub has)"
        slower = ", less with a stride or several output rows" if kind == "load3d" else ""
        return f"{rates}{slower}, result {l0[f'{kind}_fixed']} later"
    keys = {
        "scalar": "scalar_cycles",
        "scalar_load": "scalar_load_cycles",
        "scalar_store": "scalar_store_cycles",
        "flag": "flag_cycles",
        "barrier": "barrier_cycles",
    }
    if row.timing in keys:
        return f"{timing[keys[row.timing]]} cycles"
    if row.timing == "cross":
        flag = f"{timing['flag_cycles']} cycle in the queue" if row.fields[0].name == "pipe" else "1 cycle"
        return f"{flag}, {timing.get('cross_core_cycles', 0)} from a set to the other cores"
    return f"{timing['dispatch_cycles']} cycle of the scalar unit"


def _gm(gm: Mapping[str, Any], row: Instruction) -> str:
    kind = "write" if row.addresses[0].spaces == ("gm",) else "read"
    return (
        f"device memory: {gm[f'l2_{kind}_rate']} B/cycle to L2, {gm[f'ddr_{kind}_rate']} to DDR per core, "
        f"latency {gm[f'{kind}_latency']}"
    )


def _absent() -> str:
    rows = (
        (", ".join(code(name) if " " not in name else name for name in row.names), row.chips, row.reason)
        for row in absent.ABSENT
    )
    return markdown_table(("not in the table", "on chips", "reason"), rows)
