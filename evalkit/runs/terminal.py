"""Where commands print for people: names come out as they are, and a file's lines are wide."""

from rich.console import Console

WIDE = 160
"""Characters of a line where the output is no terminal, which has no edge to wrap at."""


def for_people() -> Console:
    """Return a console that takes no part of a name for markup or for an emoji, as in `openai:m:`."""
    console = Console(emoji=False, markup=False, highlight=False)
    return console if console.is_terminal else Console(emoji=False, markup=False, highlight=False, width=WIDE)


def say(console: Console, text: str) -> None:
    """Print a sentence as it is, however long: names in it hold no markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
