"""How results print: summaries, tables, data frames, and HTML that shows what a user wrote as it is."""

from dataclasses import dataclass

import numpy as np
import pytest

from rewards.display import Displayed, Tabular, counted, decimal, estimated, html_table, text_table


@dataclass(frozen=True, slots=True)
class Rate(Displayed):
    value: float

    def summary(self) -> str:
        return f"rate {decimal(self.value, 3)} <of all>"


@dataclass(frozen=True, slots=True)
class Board(Tabular):
    systems: tuple[str, ...]
    strengths: np.ndarray

    def summary(self) -> str:
        return counted(len(self.systems), "system")

    def columns(self):
        return {"system": self.systems, "strength": self.strengths}


def test_a_result_prints_as_its_summary_and_keeps_its_repr():
    assert str(Rate(0.5)) == "rate 0.500 <of all>"
    assert repr(Rate(0.5)) == "Rate(value=0.5)"
    assert Rate(0.5)._repr_html_() == "<p>rate 0.500 &lt;of all&gt;</p>"
    assert not hasattr(Rate(0.5), "__dict__")


def test_a_table_prints_below_its_summary_numbers_to_the_right():
    board = Board(("a", "long name"), np.array([1.5, np.nan]))
    assert str(board) == "2 systems\nsystem     strength\na               1.5\nlong name         -"
    frame = board.to_frame()
    assert list(frame.columns) == ["system", "strength"]
    assert frame["strength"].dtype == np.float64
    assert frame["system"].tolist() == ["a", "long name"]


def test_what_a_user_wrote_is_never_read_as_html():
    page = Board(("<script>alert(1)</script>", "a & b"), np.zeros(2))._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page
    assert html_table({"<b>": ["<i>"]}).count("&lt;") == 2


@pytest.mark.parametrize(
    ("ends", "text"),
    [((0.584, 0.64), "0.613 (0.584 to 0.640)"), ((None, None), "0.613"), ((float("nan"),) * 2, "0.613")],
)
def test_an_interval_stands_behind_an_estimate_only_where_there_is_one(ends, text):
    assert estimated(0.6131, *ends) == text


def test_a_table_without_rows_is_its_head():
    assert text_table({"system": [], "n": []}) == "system  n"
