"""`--fusion_switch_file` and `--optimization_switch`: rules of the public tool that are switched off, and what that
means for the passes here.

The file has an old and a new form. Old, one rule a line (the forms that public examples use are all taken):

    ConvBatchnormFusionPass:off
    fusion_pattern: TbeEltwiseFusionPass switch: off

New: `{"Switch": {"GraphFusion": {"ALL": "off", "ConvBatchnormFusionPass": "on"}, "UBFusion": {"ALL": "off"}}}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from ..runtime.errors import AscendError
from .atc_flags import ParsedFlags
from .atc_precision import json_of, text_of

GRAMMAR: Final = r"""
    start: entry*
    entry: "fusion_pattern"? ":"? NAME ("switch"i)? (":" | "=")? STATE (";" | ",")?
    STATE.2: /(on|off)(?![A-Za-z0-9_])/i
    NAME: /(?!(fusion_pattern|switch)(?![A-Za-z0-9_]))[A-Za-z_][A-Za-z0-9_\-]*/
    COMMENT: /#[^\n]*/
    %import common.WS
    %ignore WS
    %ignore COMMENT
"""
ALL: Final = "ALL"

_RULES: Final[tuple[tuple[str, str, str], ...]] = (
    ("graph", r"(Conv|Conv2DTranspose|Conv3D|Deconv|Depthwise).*(Batchnorm|BatchNorm|Scale)\w*FusionPass", "nn-fold-batch-norm"),
    ("ub", r"(ATbe|Tbe)(Conv|CommonRules|Depthwise|FullyConn|Matmul|MatMul|BatchMatmul|BatchMatMul|Aipp|Dx)\w*", "fuse-cube"),
    ("ub", r"(ATbe|Tbe)(Eltwise|Elemwise|Reduce|Dynamic|MultiOutput|Pool|Read)\w*", "fuse-vector"),
    ("ub", r"(BatchMatmul|Matmul|MatMul)(Confusion|Transdata)\w*", "fuse-cube"),
    ("ub", r"AutoSingle(Norm|Reduce)", "ascend-split-reductions"),
    ("graph", r"MatmulWeightPrefetch\w*", "ascend-prefetch-weights"),
)  # fmt: skip
"""Kind of rule, the names it has in the public tool, and what plays its part here."""
OWN: Final = frozenset(part for _, _, part in _RULES) | {"nn-split-terms"}


def switched_off(flags: ParsedFlags) -> frozenset[str]:
    """What the compiler leaves out (`CompileOptions.without`); notes tell of rules that have no counterpart."""
    states: dict[str, bool] = {}
    if "fusion_switch_file" in flags:
        states |= read_switch_file(flags.get("fusion_switch_file"))
    if "optimization_switch" in flags:  # it beats the file
        states |= _words(flags.get("optimization_switch"))
    off = {part for name, is_on in states.items() if not is_on for part in _parts(name)}
    on = {part for name, is_on in states.items() if is_on and ALL not in name for part in _parts(name)}
    strange = [name for name, is_on in states.items() if not is_on and not _parts(name)]
    if strange:
        flags.note(
            f"{', '.join(strange)}: no rule of this compiler plays the part, so nothing is switched off for it"
        )
    if flags.get("oo_level") == "O1":
        off |= {"nn-fold-batch-norm", "fuse-cube", "fuse-vector"}
    if flags.get("buffer_optimize") == "off_optimize":
        off.add("ascend-prefetch-weights")
    by_name = {
        part for name, is_on in states.items() if not is_on and ALL not in name for part in _parts(name)
    }
    return frozenset(off - (on - by_name))


def _parts(name: str) -> set[str]:
    """What plays the part of a rule; `graph ALL` and `ub ALL` are all rules of a kind."""
    if name in OWN:
        return {name}
    kind, _, rest = name.partition(" ")
    if rest == ALL:
        return {part for rule_kind, _, part in _RULES if rule_kind == kind}
    return {part for _, pattern, part in _RULES if re.fullmatch(pattern, name)}


def _words(text: str) -> dict[str, bool]:
    """`"PassA:on;PassB:off"`."""
    found: dict[str, bool] = {}
    for word in text.strip().strip(";").split(";"):
        name, _, state = word.strip().partition(":")
        if not name or state not in ("on", "off"):
            raise AscendError(
                "E10003", f"Value {text} for parameter --optimization_switch is invalid at {word!r}",
                expected='"Name1:on;Name2:off"',
            )  # fmt: skip
        found[name] = state == "on"
    return found


def read_switch_file(path: str) -> dict[str, bool]:
    """Rules of a file, in either form, and whether each is on. `ALL` carries its kind: "graph ALL", "ub ALL"."""
    text = text_of("fusion_switch_file", path)
    return _from_json(path) if text.lstrip().startswith(("{", "[")) else parse_switch_lines(text, path)


def parse_switch_lines(text: str, path: str) -> dict[str, bool]:
    """The old form."""
    from lark import Lark, Token, UnexpectedInput

    try:
        tree = Lark(GRAMMAR, parser="lalr").parse(text)  # pyright: ignore[reportUnknownMemberType] - lark's hint
    except UnexpectedInput as error:
        raise AscendError(
            "E10003",
            f"--fusion_switch_file={path} is malformed in line {error.line}",
            expected="Name:off, one rule a line, or the JSON form",
            hint=error.get_context(text).splitlines()[0].strip(),
        ) from error
    found: dict[str, bool] = {}
    for entry in tree.iter_subtrees_topdown():
        if entry.data == "entry":
            name, state = (str(child) for child in entry.children if isinstance(child, Token))
            found[name] = state.lower() == "on"
    return found


def _from_json(path: str) -> dict[str, bool]:
    data = json_of("fusion_switch_file", path)
    switch = cast("dict[str, Any]", data).get("Switch") if isinstance(data, dict) else None
    if not isinstance(switch, dict):
        raise _malformed(path, "it has no object Switch")
    found: dict[str, bool] = {}
    kinds = {"GraphFusion": "graph", "UBFusion": "ub"}
    for kind, rules in cast("dict[str, Any]", switch).items():
        if kind not in kinds or not isinstance(rules, dict):
            raise _malformed(path, f"Switch has {kind!r}")
        for name, state in _items(cast("dict[str, Any]", rules)):
            if state not in ("on", "off"):
                raise _malformed(path, f"{name} is {state!r}")
            found[f"{kinds[kind]} {ALL}" if name == ALL else name] = state == "on"
    return found


def _items(rules: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Rules in order: ALL first, so that single ones overrule it."""
    return sorted(rules.items(), key=lambda item: item[0] != ALL)


def _malformed(path: str, what: str) -> AscendError:
    return AscendError(
        "E10032",
        f"--fusion_switch_file={path} is malformed: {what}",
        expected='{"Switch": {"GraphFusion": {"Name": "off"}, "UBFusion": {"ALL": "off"}}}',
    )
