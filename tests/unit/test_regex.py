"""Regular expressions of RegexFullMatch: RE2's language, in linear time, bounded."""

from __future__ import annotations

import random

import numpy as np
import onnxruntime as ort
import pytest
from ascend_mlir.runtime.aicpu.regex import Regex
from ascend_mlir.runtime.aicpu.regex_syntax import MAX_PATTERN, RegexError
from onnx import TensorProto, helper

CASES = [
    (r"www\.[\w.-]+\.\bcom\b", ["www.google.com"], ["http://www.google.com", "www.x.co"]),
    (r"a|b*|", ["", "a", "bbb"], ["ab"]),
    (r"(?i)straße", ["STRAẞE", "Straße"], ["strasse"]),
    (r"(?i)k", ["K", "\u212a"], ["x"]),
    (r"(?i:a)b|(?-i)c", ["Ab"], ["AB", "C"]),
    (r"(?i)[^k]", ["x"], ["K", "\u212a"]),
    (r"(?i)\W", ["-"], ["\u212a", "ſ"]),  # what folds to a word character is one
    (r"\d+", ["12"], ["٣", "½"]),  # ASCII, unlike Python's
    (r"\pN+", ["12", "٣½"], ["a"]),
    (r"\p{^Lu}\P{L}", ["a1"], ["A1", "ab"]),
    (r"a.b", ["a b", "aéb"], ["a\nb", "ab"]),
    (r"(?s)a.b", ["a\nb"], ["ab"]),
    (r"a$", ["a"], ["a\n"]),
    (r"(?m)^a$\n^b$", ["a\nb"], ["a b"]),
    (r"\bfoo\b.*", ["foo bar"], ["foobar"]),
    (r"\Bx*", [""], ["x"]),
    (r"\Qa.b*\E+", ["a.b**"], ["a.b", "axb*"]),
    (r"[]a-c^-]+", ["]a-^"], ["d"]),
    (r"[[:^alpha:]\d]", ["1", "-"], ["a"]),
    (r"\x41\x{1F600}\101\07", ["A😀A\a"], ["A"]),
    (r"a{2,3}?b{,2}c{0}", ["aab{,2}", "aaab{,2}"], ["aa", "ab{,2}"]),
    (r"(?P<year>\d{4})-(?<month>\d\d)", ["2026-11"], ["26-11"]),
    (r"(|a)+\z", ["", "aa"], ["b"]),
    (r"s(?i){0,3}", ["", "ss"], ["S"]),  # flags leave nothing: what stood before them is repeated
]


@pytest.mark.parametrize(("pattern", "yes", "no"), CASES, ids=[case[0] for case in CASES])
def test_what_a_pattern_matches(pattern: str, yes: list[str], no: list[str]) -> None:
    regex = Regex(pattern)
    assert [text for text in yes if not regex.full_match(text)] == []
    assert [text for text in no if regex.full_match(text)] == []


REFUSED = [
    (r"(a)\1", "back references"),
    (r"(?=a)", "look-around"),
    (r"(?<=a)b", "look-behind"),
    (r"(?>a)", "look-around"),
    (r"a**", "nothing to repeat"),
    (r"+a", "nothing to repeat"),
    (r"(a", "not closed"),
    (r"a)", "no group is open"),
    (r"[a", "not closed"),
    (r"[b-a]", "ends before"),
    (r"[[:foo:]]", "no class"),
    (r"\Z", "no escape"),
    (r"\p{Greek}", "scripts"),
    (r"\x{110000}", "hexadecimal"),
    ("a\\", "ends in an escape"),
    (r"a{1001}", "at most 1000"),
    (r"a{3,2}", "3 to 2"),
    (r"((a{0,10}){0,10}){0,11}", "nested repetitions"),
    ("(" * 100 + "a" + ")" * 100, "nested deeper"),
    ("a" * (MAX_PATTERN + 1), "at most"),
    (r"((\pL+\d*){30}x{30}){30}" * 20, "steps"),
]


@pytest.mark.parametrize(("pattern", "why"), REFUSED, ids=[case[0][:20] for case in REFUSED])
def test_what_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(RegexError, match=why):
        Regex(pattern)


ATOMS = [
    *("a", "b", "K", "s", "é", "ß", "1", "_", " ", "-", ".", "^", "$", "\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "\\b"),
    *("\\B", "\\A", "\\z", "[ab]", "[^a]", "[a-c]", "[[:alpha:]]", "[[:^digit:]b]", "[\\d_]", "\\pL", "\\PN", "\\p{Lu}"),
    *("\\x41", "\\x{e9}", "\\n", "\\Qa.\\E", "(?i)", "(?s)", "(?-i)", "(?m)", "[^\\n]", "[-a]", "\\.", "\\07", "[]a]"),
    *("{", "a{", "(?U)", "]", "}", "[a-", "\\", "(?i:k)", "\\1", "\\8", "(?=", "[z-a]", ")"),
]  # fmt: skip
REPETITIONS = [
    "",
    "",
    "",
    "*",
    "+",
    "?",
    "{2}",
    "{1,2}",
    "{0,3}",
    "{2,}",
    "*?",
    "+?",
    "{1,2}?",
    "**",
    "{3,1}",
    "{,2}",
]
GROUPS = ["(", "(?:", "(?i:", "(?<x>", "(?s-i:"]
LETTERS = "aabbKkK\u212asSſéÉßẞ1_ -.\n{}]+ab"


def random_pattern(rng: random.Random, depth: int = 0) -> str:
    parts: list[str] = []
    for _ in range(rng.randint(0, 3)):
        kind = rng.random()
        if kind < 0.25 and depth < 3:
            parts.append(rng.choice(GROUPS) + random_pattern(rng, depth + 1) + ")")
        elif kind < 0.35 and depth < 3:
            parts.append(random_pattern(rng, depth + 1) + "|" + random_pattern(rng, depth + 1))
        else:
            parts.append(rng.choice(ATOMS))
        parts.append(rng.choice(REPETITIONS))
    return "".join(parts)


def re2(pattern: str, texts: list[str]) -> list[bool] | None:
    """RE2 itself, which onnxruntime has inside; None where it refuses the pattern."""
    node = helper.make_node("RegexFullMatch", ["x"], ["y"], pattern=pattern)
    x = helper.make_tensor_value_info("x", TensorProto.STRING, [None])
    y = helper.make_tensor_value_info("y", TensorProto.BOOL, [None])
    graph = helper.make_graph([node], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    try:
        session = ort.InferenceSession(model.SerializeToString())
    except Exception:
        return None
    return session.run(None, {"x": np.array(texts, object)})[0].tolist()


def ours(pattern: str, texts: list[str]) -> list[bool] | None:
    try:
        regex = Regex(pattern)
    except RegexError:
        return None
    return [regex.full_match(text) for text in texts]


@pytest.mark.parametrize("seed", range(3))
def test_random_patterns_as_re2(seed: int) -> None:
    ort.set_default_logger_severity(4)
    rng = random.Random(seed)
    accepted = 0
    for _ in range(250):
        pattern = random_pattern(rng)
        texts = ["", "a", "ab", "".join(rng.choice(LETTERS) for _ in range(9))]
        texts += ["".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 5))) for _ in range(20)]
        found = ours(pattern, texts)
        assert found == re2(pattern, texts), (pattern, texts)
        accepted += found is not None
    assert accepted > 100


@pytest.mark.parametrize(
    "pattern", [r"(x+x+)+y", r"(a|aa)+$", r"(a*)*b", r"(a?){500}a{500}", r"(.*a){20}.{20}"]
)
def test_each_character_is_looked_at_once(pattern: str) -> None:
    """Backtracking would take longer than the universe is old: sets of states are computed once for each character at most."""
    regex = Regex(pattern)
    computed = 0
    original = regex._reachable

    def counted(*args: object) -> object:
        nonlocal computed
        computed += 1
        return original(*args)  # type: ignore[arg-type]

    regex._reachable = counted  # type: ignore[method-assign,assignment]
    for text in ("a" * 252, "x" * 252, "ab" * 126):
        before = computed
        regex.full_match(text)
        assert computed - before <= len(text) + 1
