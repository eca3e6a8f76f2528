"""Regular expressions of RegexFullMatch: RE2's language, in linear time, bounded."""

from __future__ import annotations

import sys
import time

import pytest
from ascend_mlir.runtime.aicpu.regex import RegexError, full_matcher
from ascend_mlir.runtime.errors import AscendError

CASES = [
    (r"www\.[\w.-]+\.\bcom\b", ["www.google.com"], ["http://www.google.com", "www.x.co"]),
    (r"a|b*|", ["", "a", "bbb"], ["ab"]),
    (r"(?i)straße", ["Straße"], ["strasse"]),
    (r"\d+", ["12"], ["٣", "½"]),  # ASCII, unlike Python's
    (r"a.b", ["a b", "aéb"], ["a\nb", "ab"]),
    (r"a$", ["a"], ["a\n"]),
    (r"\p{Greek}+", ["αβ"], ["ab"]),
    (r"a{2,3}?b{,2}c{0}", ["aab{,2}", "aaab{,2}"], ["aa", "ab{,2}"]),
    (r"(?P<year>\d{4})-(?<month>\d\d)", ["2026-11"], ["26-11"]),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), CASES, ids=[case[0] for case in CASES])
def test_what_a_pattern_matches(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = full_matcher(pattern)
    assert [text for text in yes if not matches(text)] == []
    assert [text for text in no if matches(text)] == []


REFUSED = [
    (r"(a)\1", r"\\1"),
    (r"(?=a)", r"\(\?="),
    (r"(a", r"missing \)"),
    (r"[b-a]", "b-a"),
    (r"a{1001}", "repetition"),
    ("a" * (1 << 20), "too large"),
    (r"((\pL+\d*){30}x{30}){30}", "too large|repetition"),
]


@pytest.mark.parametrize(("pattern", "why"), REFUSED, ids=[case[0][:20] for case in REFUSED])
def test_what_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(RegexError, match=why):
        full_matcher(pattern)


def test_a_hostile_pattern_takes_no_time() -> None:
    """Python's `re` needs 2^60 steps for this one."""
    began = time.process_time()
    assert not full_matcher("(a+)+b")("a" * 60)
    assert time.process_time() - began < 1


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    full_matcher.cache_clear()
    with pytest.raises(AscendError, match="google-re2") as found:
        full_matcher("a")
    assert "ascend-mlir[text]" in found.value.hint
    full_matcher.cache_clear()
