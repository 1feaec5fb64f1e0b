"""A figure is judged by its limit, in one way for all."""

from __future__ import annotations

from benchmarks.target import Target, missed

OVER = Target("at most", 0.91, 0.9)
LEAST = Target("at least", 0.91, 0.9, at_least=True, where="here")
NOTHING_ASKED = Target("a figure", 3)


def test_the_limit_itself_is_met() -> None:
    assert Target("at most", 0.9, 0.9).met
    assert Target("at least", 0.9, 0.9, at_least=True).met


def test_a_target_without_a_limit_is_neither_met_nor_missed() -> None:
    assert NOTHING_ASKED.met is None
    assert (NOTHING_ASKED.asked, NOTHING_ASKED.verdict) == ("", "")
    assert missed([OVER, LEAST, NOTHING_ASKED]) == [OVER]


def test_a_line_says_what_was_asked_and_whether_it_is_met() -> None:
    assert str(OVER).split() == ["at", "most", "0.91", "at", "most", "0.9", "not", "met"]
    assert str(LEAST).split() == ["at", "least", "0.91", "at", "least", "0.9", "met", "here"]
    assert str(NOTHING_ASKED).split() == ["a", "figure", "3"]
