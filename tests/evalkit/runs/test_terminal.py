"""What commands print: texts as they are, without markup, emoji or breaks, on one stream or the other."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from evalkit.runs.terminal import say, show, terminal, warn

ODD = "runs/[bold]one[/bold] openai:smile: [red] 3 of 4 " + "long/" * 60 + "end"


@pytest.mark.parametrize("prints", [say, show])
def test_markup_emoji_names_and_long_lines_are_printed_as_they_are(capsys, prints):
    prints("[bold]x :smile: [/]")
    assert capsys.readouterr().out == "[bold]x :smile: [/]\n"


def test_a_sentence_is_one_line_however_long(capsys):
    say(ODD)
    warn(ODD)
    say()
    printed = capsys.readouterr()
    assert printed.out == f"{ODD}\n\n"
    assert printed.err == f"{ODD}\n"


def test_a_table_keeps_its_names_and_is_as_wide_as_a_file_allows(capsys):
    table = Table(box=None)
    for name in ("name", "[b]"):
        table.add_column(name, no_wrap=True)
    table.add_row("openai:smile:" * 5, Text("[red]" * 10))
    show(table, Text("below"))
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.split() == ["name", "[b]"]
    assert second.split() == ["openai:smile:" * 5, "[red]" * 10]
    assert third == "below"


def test_no_number_of_a_table_is_cut_however_many_there_are(capsys):
    table = Table(box=None, pad_edge=False)
    numbers = [f"{10**9 + place}.5" for place in range(40)]
    for number in numbers:
        table.add_column(number[-4:], no_wrap=True)
    table.add_row(*numbers)
    show(table)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == [number[-4:] for number in numbers]
    assert row.split() == numbers


def test_a_terminal_that_is_none_has_no_colours():
    stream = io.StringIO()
    terminal(stream).print(Text("bold", style="bold"), 3.14)
    assert stream.getvalue() == "bold 3.14\n"
