"""docs/rejection-sampling.md quotes what its script prints, and shows the figures that it draws."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def text():
    return (DOCS / "rejection-sampling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lines():
    spec = spec_from_file_location("rejection_sampling_figures", DOCS / "figures" / "rejection_sampling.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    return list(script.numbers())


def test_the_page_holds_every_line_that_the_script_prints(text, lines):
    block = text.split("## Numbers")[1].split("```")[1].removeprefix("text\n")
    assert block.splitlines() == lines


def test_every_decimal_number_of_the_prose_was_printed(text, lines):
    prose = text.split("## Numbers")[0]
    # Settings of the examples, and the digits of a paper's number, are not results.
    settings = {"0.5", "0.3", "0.2", "0.7", "1.5", "0.8", "2309.06657"}
    quoted = set(re.findall(r"\d+\.\d+", prose)) - settings
    printed = set(re.findall(r"\d+\.\d+", "\n".join(lines)))
    assert len(quoted) > 30
    assert quoted <= printed


def test_every_figure_shown_is_there_and_small(text):
    shown = re.findall(r"!\[[^]]+\]\((figures/[^)]+\.png)\)", text)
    assert len(shown) == 3
    for name in shown:
        assert 10_000 < (DOCS / name).stat().st_size < 150_000
