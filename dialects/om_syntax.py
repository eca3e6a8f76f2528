"""Text forms of the plain data of `runtime/om/model.py`, one printer and one parser per dataclass.

What is at its default is not printed: the storage shape when it is the logical one, the origin format when
it is the format, stream 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.parser import AttrParser
from xdsl.printer import Printer

from ..runtime.om.model import (
    KERNEL_TYPE_AI_CORE,
    Address,
    Arg,
    OmDesc,
    OmGraphOp,
    OmKernel,
    OmTask,
    OmTensor,
    OmWeight,
    WeightPayload,
)


def _unbound() -> bytes:
    raise RuntimeError("the bytes of this weight are not bound; give om_to_model a resolver")


def unbound_payload(size: int, digest: str) -> WeightPayload:
    """A payload that knows its size and digest only."""
    return WeightPayload(size, digest, _unbound)


def parse_text(parser: AttrParser) -> str:
    """A string literal of any characters (xDSL reads one with escaped non-ASCII bytes as a bytes literal)."""
    plain = parser.parse_optional_str_literal()
    return plain if plain is not None else parser.parse_bytes_literal().decode()


def parse_octets(parser: AttrParser) -> bytes:
    """A string literal as bytes."""
    plain = parser.parse_optional_str_literal()
    return plain.encode() if plain is not None else parser.parse_bytes_literal()


def _integers(parser: AttrParser) -> tuple[int, ...]:
    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer))


def _text(values: Sequence[int]) -> str:
    return f"[{', '.join(map(str, values))}]"


def _format(parser: AttrParser) -> str:
    name = parser.parse_identifier()
    return f"{name}:{parser.parse_integer()}" if parser.parse_optional_punctuation(":") else name


def _number(parser: AttrParser, keyword: str, default: int = 0) -> int:
    return parser.parse_integer() if parser.parse_optional_keyword(keyword) is not None else default


def _placed(parser: AttrParser) -> tuple[int, int]:
    parser.parse_keyword("bytes")
    size = parser.parse_integer()
    parser.parse_keyword("at")
    return size, parser.parse_integer()


def parse_tensor(parser: AttrParser) -> OmTensor:
    """`"x" : f16 [1, 64] NCHW bytes 128 at 0 source "pool:0"`"""
    name = parse_text(parser)
    parser.parse_punctuation(":")
    dtype, shape, format = parser.parse_identifier(), _integers(parser), _format(parser)
    size, offset = _placed(parser)
    source = parse_text(parser) if parser.parse_optional_keyword("source") is not None else ""
    return OmTensor(name, dtype, shape, size, offset, format, source)


def print_tensor(printer: Printer, tensor: OmTensor) -> None:
    """See `parse_tensor`."""
    printer.print_string_literal(tensor.name)
    printer.print_string(f" : {tensor.dtype} {_text(tensor.shape)} {tensor.format}")
    printer.print_string(f" bytes {tensor.size} at {tensor.offset}")
    if tensor.source:
        printer.print_string(" source ")
        printer.print_string_literal(tensor.source)


def parse_desc(parser: AttrParser) -> OmDesc:
    """`f16 [1, 64, 56, 56] NC1HWC0 storage [1, 4, 56, 56, 16] origin NCHW bytes 401408`"""
    dtype, shape, format = parser.parse_identifier(), _integers(parser), _format(parser)
    storage = _integers(parser) if parser.parse_optional_keyword("storage") is not None else shape
    origin = _format(parser) if parser.parse_optional_keyword("origin") is not None else format
    return OmDesc(dtype, shape, storage, format, origin, _number(parser, "bytes"))


def print_desc(printer: Printer, desc: OmDesc) -> None:
    """See `parse_desc`."""
    printer.print_string(f"{desc.dtype} {_text(desc.shape)} {desc.format}")
    if desc.storage_shape != desc.shape:
        printer.print_string(f" storage {_text(desc.storage_shape)}")
    if desc.origin_format != desc.format:
        printer.print_string(f" origin {desc.origin_format}")
    if desc.size:
        printer.print_string(f" bytes {desc.size}")


def parse_weight(parser: AttrParser) -> OmWeight:
    """`"w" : f16 [64, 64, 3, 3] FRACTAL_Z storage [36, 4, 16, 16] origin ND bytes 73728 at 512 digest "…"`"""
    name = parse_text(parser)
    parser.parse_punctuation(":")
    desc = parse_desc(parser)
    parser.parse_keyword("at")
    offset = parser.parse_integer()
    digest = parse_text(parser) if parser.parse_optional_keyword("digest") is not None else ""
    payload = unbound_payload(desc.size, digest)
    return OmWeight(
        name, desc.dtype, desc.shape, desc.storage_shape, desc.format, payload, offset, desc.origin_format
    )


def print_weight(printer: Printer, weight: OmWeight) -> None:
    """See `parse_weight`."""
    printer.print_string_literal(weight.name)
    printer.print_string(" : ")
    desc = OmDesc(
        weight.dtype, weight.shape, weight.storage_shape, weight.format, weight.origin_format, weight.size
    )
    print_desc(printer, desc)
    printer.print_string(f" at {weight.offset}")
    if weight.payload.digest:
        printer.print_string(" digest ")
        printer.print_string_literal(weight.payload.digest)


def parse_digits(parser: AttrParser, keyword: str) -> bytes:
    """`code "0a1b…"`: bytes as hexadecimal digits behind a keyword"""
    parser.parse_keyword(keyword)
    digits = parse_text(parser)
    try:
        return bytes.fromhex(digits)
    except ValueError:
        parser.raise_error(f"expected {keyword} as hexadecimal digits")


def parse_kernel(parser: AttrParser) -> OmKernel:
    """`"conv_7c1e" code "0a1b…"` (hexadecimal)"""
    name = parse_text(parser)
    return OmKernel(name, parse_digits(parser, "code"))


def print_kernel(printer: Printer, kernel: OmKernel) -> None:
    """See `parse_kernel`."""
    printer.print_string_literal(kernel.name)
    printer.print_string(f' code "{kernel.code.hex()}"')


def parse_node(parser: AttrParser) -> OmGraphOp:
    """`"conv1" : "Conv2D" ("x:0", "w:0") : (desc, desc) -> (desc) reads [0, 512] writes [1024] workspace []
    sizes []`"""
    name = parse_text(parser)
    parser.parse_punctuation(":")
    kind = parse_text(parser)
    inputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: parse_text(parser))
    parser.parse_punctuation(":")
    input_descs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: parse_desc(parser))
    parser.parse_punctuation("->")
    output_descs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: parse_desc(parser))
    lists = [
        _integers(parser) if parser.parse_optional_keyword(keyword) is not None else ()
        for keyword in ("reads", "writes", "workspace", "sizes")
    ]
    return OmGraphOp(name, kind, tuple(inputs), tuple(input_descs), tuple(output_descs), {}, *lists)


def print_node(printer: Printer, node: OmGraphOp) -> None:
    """See `parse_node`."""
    printer.print_string_literal(node.name)
    printer.print_string(" : ")
    printer.print_string_literal(node.type)
    printer.print_string(" (")
    printer.print_list(node.inputs, printer.print_string_literal)
    printer.print_string(") : (")
    printer.print_list(node.input_descs, lambda desc: print_desc(printer, desc))
    printer.print_string(") -> (")
    printer.print_list(node.output_descs, lambda desc: print_desc(printer, desc))
    printer.print_string(")")
    for keyword, values in (
        ("reads", node.input_offsets),
        ("writes", node.output_offsets),
        ("workspace", node.workspace_offsets),
        ("sizes", node.workspace_bytes),
    ):
        if values:
            printer.print_string(f" {keyword} {_text(values)}")


def _parse_arg(parser: AttrParser) -> Arg:
    region = parser.parse_optional_keyword("feature_map") or parser.parse_optional_keyword("weights")
    if region is None:
        return parser.parse_integer()
    parser.parse_punctuation("+")
    return Address("feature_map" if region == "feature_map" else "weights", parser.parse_integer())


def _parse_nodes(parser: AttrParser) -> tuple[str, ...]:
    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_text(parser)))


def parse_task(parser: AttrParser) -> OmTask:
    """`"conv_7c1e" blocks 8 args [feature_map + 0, weights + 512, 56] node 0 stream 1 type 6 info "…" from
    [["conv"], []]`"""
    kernel = parse_text(parser)
    parser.parse_keyword("blocks")
    blocks = parser.parse_integer()
    parser.parse_keyword("args")
    args = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: _parse_arg(parser))
    node = _number(parser, "node")
    stream = _number(parser, "stream")
    kind = _number(parser, "type", KERNEL_TYPE_AI_CORE)
    info = parse_octets(parser) if parser.parse_optional_keyword("info") is not None else b""
    sources: Sequence[tuple[str, ...]] = ()
    if parser.parse_optional_keyword("from") is not None:
        sources = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: _parse_nodes(parser))
    return OmTask(kernel, blocks, tuple(args), node, stream, kind, info, tuple(sources))


def print_task(printer: Printer, task: OmTask) -> None:
    """See `parse_task`."""
    printer.print_string_literal(task.kernel)
    args = ", ".join(f"{a.region} + {a.offset}" if isinstance(a, Address) else str(a) for a in task.args)
    printer.print_string(f" blocks {task.block_dim} args [{args}] node {task.op_index}")
    if task.stream:
        printer.print_string(f" stream {task.stream}")
    if task.kernel_type != KERNEL_TYPE_AI_CORE:
        printer.print_string(f" type {task.kernel_type}")
    if task.kernel_ext_info:
        printer.print_string(" info ")
        printer.print_bytes_literal(task.kernel_ext_info)
    if task.sources:
        printer.print_string(" from [")
        printer.print_list(task.sources, lambda nodes: _print_nodes(printer, nodes))
        printer.print_string("]")


def _print_nodes(printer: Printer, nodes: Sequence[str]) -> None:
    printer.print_string("[")
    printer.print_list(nodes, printer.print_string_literal)
    printer.print_string("]")
