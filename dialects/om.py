"""The `om` dialect: what an offline model file holds, one op per thing in the file.

A device knows neither graphs nor tensors: it is given two regions of memory (feature map and weights),
kernel images and an ordered list of launches whose arguments are addresses. This level says exactly that
and nothing more; no pass computes anything on it.

* `om.profiles` – the file of a model of several sizes: an `om.model` per profile.
* `om.model` – the file: name, SoC, sizes and bases of the regions, model attributes.
* `om.input`, `om.output` – what a caller copies in and out, and at which offset of the feature map.
* `om.weight` – a constant: its place in the weight region, its size and digest. The bytes are not in the
  text: `from` says where they come from, a blob expression of level `nn` or, for a model read back,
  `#om.file<"name">`.
* `om.kernel` – a kernel image by name (machine code as a byte string).
* `om.node` – an operator of the graph that people and viewers see.
* `om.task` – one launch: kernel, blocks, arguments (addresses as `region + offset`, then sizes), the
  operator it computes, and which source nodes each body op of the kernel stands for.
* `om.partition` – a partition that nobody here reads (host libraries, tiling data, …), as it is.

Each op carries the plain dataclass of `runtime/om/model.py` as its one attribute, so that `om_to_model` and
`model_to_om` are lossless by construction. `om.model` verifies the whole: the rules are those of the
container (`runtime/om/consistency.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, Block, Dialect, Operation, Region
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    lazy_traits_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsolatedFromAbove, NoTerminator
from xdsl.utils.exceptions import VerifyException

from ..runtime.om.consistency import InconsistentModelError, check
from ..runtime.om.model import (
    FEATURE_MAP_BASE,
    MACHINE_CODE,
    WEIGHT_BASE,
    OmGraphOp,
    OmKernel,
    OmModel,
    OmPartition,
    OmTask,
    OmTensor,
    OmWeight,
    WeightPayload,
)
from ..runtime.om.profiles import KINDS, OmProfiles, check_profiles, with_region
from . import om_syntax as syntax
from .om_attrs import (
    BytesAttr,
    FileAttr,
    KernelAttr,
    NodeAttr,
    TaskAttr,
    TensorAttr,
    WeightAttr,
    dictionary,
    parse_attrs,
    print_attrs,
    values,
)

# -------------------------------------------------------------------------------------------------------- ops


class _PartOp(IRDLOperation):
    """An op inside `om.model`."""

    traits = lazy_traits_def(lambda: (HasParent(ModelOp),))


class _TensorOp(_PartOp):
    tensor = prop_def(TensorAttr)

    def __init__(self, tensor: OmTensor) -> None:
        super().__init__(properties={"tensor": TensorAttr(tensor)})

    @classmethod
    def parse(cls, parser: Parser) -> _TensorOp:
        return cls(syntax.parse_tensor(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        syntax.print_tensor(printer, self.tensor.data)


@irdl_op_definition
class InputOp(_TensorOp):
    """What the caller copies into the feature map before a run."""

    name = "om.input"


@irdl_op_definition
class OutputOp(_TensorOp):
    """What the caller copies out of the feature map after a run."""

    name = "om.output"


@irdl_op_definition
class WeightOp(_PartOp):
    """A constant of the weight region; `from` names where its bytes come from."""

    name = "om.weight"
    weight = prop_def(WeightAttr)
    source = prop_def(Attribute)

    def __init__(self, weight: OmWeight, source: Attribute) -> None:
        bare = replace(weight, payload=syntax.unbound_payload(weight.size, weight.payload.digest))
        super().__init__(properties={"weight": WeightAttr(bare), "source": source})

    @classmethod
    def parse(cls, parser: Parser) -> WeightOp:
        weight = syntax.parse_weight(parser)
        parser.parse_keyword("from")
        return WeightOp(weight, parser.parse_attribute())

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        syntax.print_weight(printer, self.weight.data)
        printer.print_string(" from ")
        printer.print_attribute(self.source)


@irdl_op_definition
class KernelOp(_PartOp):
    """A kernel image: a program of the AI Core, found by name."""

    name = "om.kernel"
    kernel = prop_def(KernelAttr)

    def __init__(self, kernel: OmKernel) -> None:
        super().__init__(properties={"kernel": KernelAttr(kernel)})

    @classmethod
    def parse(cls, parser: Parser) -> KernelOp:
        return KernelOp(syntax.parse_kernel(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        syntax.print_kernel(printer, self.kernel.data)


@irdl_op_definition
class NodeOp(_PartOp):
    """An operator as graph viewers see it."""

    name = "om.node"
    node = prop_def(NodeAttr)
    attrs = opt_prop_def(DictionaryAttr)

    def __init__(self, node: OmGraphOp, attrs: DictionaryAttr | None = None) -> None:
        bare = replace(node, attrs={})
        super().__init__(properties={"node": NodeAttr(bare), "attrs": attrs})

    @classmethod
    def parse(cls, parser: Parser) -> NodeOp:
        node = syntax.parse_node(parser)
        return NodeOp(node, parse_attrs(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        syntax.print_node(printer, self.node.data)
        print_attrs(printer, self.attrs)


@irdl_op_definition
class TaskOp(_PartOp):
    """One launch of a kernel; tasks of one stream run in order."""

    name = "om.task"
    task = prop_def(TaskAttr)

    def __init__(self, task: OmTask) -> None:
        super().__init__(properties={"task": TaskAttr(task)})

    @classmethod
    def parse(cls, parser: Parser) -> TaskOp:
        return TaskOp(syntax.parse_task(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        syntax.print_task(printer, self.task.data)


@irdl_op_definition
class PartitionOp(_PartOp):
    """A partition that nobody here reads, by its public number, its bytes as hexadecimal digits."""

    name = "om.partition"
    number = prop_def(IntegerAttr)
    content = prop_def(BytesAttr)

    def __init__(self, partition: OmPartition) -> None:
        number = IntegerAttr(partition.number, i64)
        super().__init__(properties={"number": number, "content": BytesAttr(partition.content)})

    @property
    def partition(self) -> OmPartition:
        """The plain description."""
        return OmPartition(self.number.value.data, self.content.data)

    @classmethod
    def parse(cls, parser: Parser) -> PartitionOp:
        number = parser.parse_integer()
        return PartitionOp(OmPartition(number, syntax.parse_digits(parser, "content")))

    def print(self, printer: Printer) -> None:
        partition = self.partition
        printer.print_string(f' {partition.number} content "{partition.content.hex()}"')


@irdl_op_definition
class ModelOp(IRDLOperation):
    """One offline model: `om.model "name" soc "Ascend310P3" memory 805888 at 68719476736 weights at
    1099511627776`."""

    name = "om.model"
    model_name = prop_def(StringAttr)
    soc = prop_def(StringAttr)
    machine_code = prop_def(StringAttr)
    memory_size = prop_def(IntegerAttr)
    feature_map_base = prop_def(IntegerAttr)
    weight_base = prop_def(IntegerAttr)
    attrs = opt_prop_def(DictionaryAttr)
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), NoTerminator())

    def __init__(
        self,
        name: str,
        soc: str,
        memory_size: int,
        body: Region | Sequence[Operation],
        *,
        feature_map_base: int = FEATURE_MAP_BASE,
        weight_base: int = WEIGHT_BASE,
        machine_code: str = MACHINE_CODE,
        attrs: DictionaryAttr | None = None,
    ) -> None:
        region = body if isinstance(body, Region) else Region(Block(body))
        if not region.blocks:
            region.add_block(Block())
        super().__init__(
            properties={
                "model_name": StringAttr(name),
                "soc": StringAttr(soc),
                "machine_code": StringAttr(machine_code),
                "memory_size": IntegerAttr(memory_size, i64),
                "feature_map_base": IntegerAttr(feature_map_base, i64),
                "weight_base": IntegerAttr(weight_base, i64),
                "attrs": attrs,
            },
            regions=[region],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ModelOp:
        name = syntax.parse_text(parser)
        parser.parse_keyword("soc")
        soc = syntax.parse_text(parser)
        parser.parse_keyword("memory")
        memory_size = parser.parse_integer()
        parser.parse_keyword("at")
        feature_map_base = parser.parse_integer()
        parser.parse_keyword("weights")
        parser.parse_keyword("at")
        weight_base = parser.parse_integer()
        parser.parse_keyword("code")
        code = syntax.parse_text(parser)
        attrs = parse_attrs(parser)
        return ModelOp(
            name,
            soc,
            memory_size,
            parser.parse_region(),
            feature_map_base=feature_map_base,
            weight_base=weight_base,
            machine_code=code,
            attrs=attrs,
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.model_name.data)
        printer.print_string(" soc ")
        printer.print_string_literal(self.soc.data)
        numbers = (self.memory_size, self.feature_map_base, self.weight_base)
        memory, base, weights = (number.value.data for number in numbers)
        printer.print_string(f" memory {memory} at {base} weights at {weights} code ")
        printer.print_string_literal(self.machine_code.data)
        print_attrs(printer, self.attrs)
        printer.print_string(" ")
        printer.print_region(self.body, print_empty_block=False)

    def verify_(self) -> None:
        try:
            check(om_to_model(self, _as_written))
        except InconsistentModelError as error:
            raise VerifyException(str(error)) from error


# ------------------------------------------------------------------------------------------- to and from data


WeightResolver: TypeAlias = Callable[[WeightOp], WeightPayload]
"""Gives the bytes behind an `om.weight`: evaluates its blob, or finds them in a file."""


def _as_written(op: WeightOp) -> WeightPayload:
    """The payload that the text describes, without bytes."""
    return op.weight.data.payload


def om_to_model(op: ModelOp, resolve: WeightResolver) -> OmModel:
    """The plain description of an `om.model`, weights bound by `resolve`. Parts may stand in any order among
    each other."""
    parts: dict[type[Operation], list[Operation]] = {}
    for part in op.body.block.ops:
        if not isinstance(part, _PartOp):
            raise VerifyException(f"om.model expected parts of the om dialect, got {part.name}")
        parts.setdefault(type(part), []).append(part)

    def of(kind: type[_Op]) -> list[_Op]:
        return [part for part in parts.get(kind, ()) if isinstance(part, kind)]

    return OmModel(
        name=op.model_name.data,
        soc=op.soc.data,
        inputs=tuple(part.tensor.data for part in of(InputOp)),
        outputs=tuple(part.tensor.data for part in of(OutputOp)),
        memory_size=op.memory_size.value.data,
        weights=tuple(replace(part.weight.data, payload=resolve(part)) for part in of(WeightOp)),
        kernels=tuple(part.kernel.data for part in of(KernelOp)),
        tasks=tuple(part.task.data for part in of(TaskOp)),
        graph=tuple(replace(part.node.data, attrs=values(part.attrs)) for part in of(NodeOp)),
        attrs=values(op.attrs),
        feature_map_base=op.feature_map_base.value.data,
        weight_base=op.weight_base.value.data,
        machine_code=op.machine_code.data,
        other=tuple(part.partition for part in of(PartitionOp)),
    )


_Op = TypeVar("_Op", InputOp, OutputOp, WeightOp, KernelOp, NodeOp, TaskOp, PartitionOp)


def model_to_om(model: OmModel, sources: Mapping[str, Attribute] | None = None) -> ModelOp:
    """An `om.model` that says what `model` says. `sources` names where the weights come from (by weight
    name); without it they are references to the file the model was read from."""
    found: Mapping[str, Attribute] = sources if sources is not None else {}
    body: list[Operation] = [InputOp(tensor) for tensor in model.inputs]
    body += [WeightOp(weight, found.get(weight.name, FileAttr(model.name))) for weight in model.weights]
    body += [KernelOp(kernel) for kernel in model.kernels]
    body += [NodeOp(node, dictionary(node.attrs)) for node in model.graph]
    body += [TaskOp(task) for task in model.tasks]
    body += [OutputOp(tensor) for tensor in model.outputs]
    body += [PartitionOp(partition) for partition in model.other]
    return ModelOp(
        model.name,
        model.soc,
        model.memory_size,
        body,
        feature_map_base=model.feature_map_base,
        weight_base=model.weight_base,
        machine_code=model.machine_code,
        attrs=dictionary(model.attrs),
    )


def payloads_of(model: OmModel) -> WeightResolver:
    """A resolver that takes the bytes from a model read before (by weight name), such as the file a listing
    came from."""
    known = {weight.name: weight.payload for weight in model.weights}

    def resolve(op: WeightOp) -> WeightPayload:
        name = op.weight.data.name
        if name not in known:
            raise VerifyException(f"the file holds no weight named {name!r}")
        return known[name]

    return resolve


@irdl_op_definition
class ProfilesOp(IRDLOperation):
    """A model of several sizes: an `om.model` for each profile, which share weights, kernels and memory.

    om.profiles "batch" of ["x"] sizes [[1], [4]] table 5632 { om.model … om.model … }
    """

    name = "om.profiles"
    kind = prop_def(StringAttr)
    order = prop_def(ArrayAttr[StringAttr])
    sizes = prop_def(ArrayAttr[ArrayAttr[IntegerAttr]])
    table = prop_def(IntegerAttr)
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), NoTerminator())

    def __init__(
        self,
        kind: str,
        order: Sequence[str],
        sizes: Sequence[Sequence[int]],
        table: int,
        body: Region | Sequence[Operation],
    ) -> None:
        region = body if isinstance(body, Region) else Region(Block(body))
        if not region.blocks:
            region.add_block(Block())
        rows = [ArrayAttr([IntegerAttr(size, i64) for size in row]) for row in sizes]
        super().__init__(
            properties={
                "kind": StringAttr(kind),
                "order": ArrayAttr([StringAttr(name) for name in order]),
                "sizes": ArrayAttr(rows),
                "table": IntegerAttr(table, i64),
            },
            regions=[region],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ProfilesOp:
        kind = syntax.parse_text(parser)
        parser.parse_keyword("of")
        order = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: syntax.parse_text(parser))
        parser.parse_keyword("sizes")
        sizes = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: _parse_row(parser))
        parser.parse_keyword("table")
        return ProfilesOp(kind, order, sizes, parser.parse_integer(), parser.parse_region())

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.kind.data)
        printer.print_string(" of [")
        printer.print_list(self.order, lambda name: printer.print_string_literal(name.data))
        rows = ", ".join(f"[{', '.join(str(size.value.data) for size in row)}]" for row in self.sizes)
        printer.print_string(f"] sizes [{rows}] table {self.table.value.data} ")
        printer.print_region(self.body, print_empty_block=False)

    @property
    def models(self) -> tuple[ModelOp, ...]:
        """The model of each profile."""
        found = tuple(op for op in self.body.block.ops if isinstance(op, ModelOp))
        if len(found) != len(list(self.body.block.ops)):
            raise VerifyException("om.profiles expected om.model ops and nothing else")
        return found

    def verify_(self) -> None:
        try:
            check_profiles(om_to_profiles(self, [_as_written] * len(self.models)))
        except InconsistentModelError as error:
            raise VerifyException(str(error)) from error


def _parse_row(parser: Parser) -> list[int]:
    return parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)


def om_to_profiles(op: ProfilesOp, resolve: Sequence[WeightResolver]) -> OmProfiles:
    """The plain description of an `om.profiles`; each model has a resolver of its own for its weights."""
    branches = tuple(om_to_model(model, find) for model, find in zip(op.models, resolve, strict=True))
    if not branches:
        raise VerifyException("om.profiles holds no model")
    kind = op.kind.data
    if kind not in KINDS:
        raise VerifyException(f"profiles of kind {kind!r}, expected one of {', '.join(KINDS)}")
    sizes = tuple(tuple(size.value.data for size in row) for row in op.sizes)
    order = tuple(name.data for name in op.order)
    return with_region(OmProfiles(KINDS[kind], sizes, order, op.table.value.data, branches))


def profiles_to_om(profiles: OmProfiles) -> ProfilesOp:
    """An `om.profiles` that says what `profiles` says."""
    models = [model_to_om(branch) for branch in profiles.branches]
    return ProfilesOp(profiles.kind, profiles.order, profiles.sizes, profiles.table, models)


OM = Dialect(
    "om",
    [ModelOp, ProfilesOp, InputOp, OutputOp, WeightOp, KernelOp, NodeOp, TaskOp, PartitionOp],
    [TensorAttr, WeightAttr, KernelAttr, NodeAttr, TaskAttr, BytesAttr, FileAttr],
)
