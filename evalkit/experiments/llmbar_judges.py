"""Whether six language models judge answers or positions, by published verdicts on LLMBar (Zeng et al. 2023).

    python -m evalkit.experiments.llmbar_judges --data ../shared/data/llmbar/judgments.csv.gz

A few seconds. Expected: GPT-4 finds the right answer of a natural pair 95.5 % of the time and of an
adversarial one 86.4 %, and says the same in both orders for 95 %; ChatGPT of March 2023 finds 37.5 % of the
adversarial ones, and whichever answer stands first wins 79 % of the time. The statistics are those of
`evalkit winrate`, told from the right answer's side.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from jsonargparse import auto_cli

from evalkit.judging.config import WinRates
from evalkit.judging.winrate.command import run
from judges.judge import Comparison, Verdict, Winner
from judges.verdicts.reading import verdict_row
from rewards.files import Row, read_rows, write_rows

WINNERS: dict[float, Winner] = {1.0: "first", 2.0: "second"}


@dataclass(frozen=True)
class Judges:
    """Compare the models' verdicts in both orders."""

    data: str
    """File of verdicts: subset, evaluator, strategy, index, label, winner_noswap, winner_swap."""
    out: str = "results/llmbar_judges"
    """Folder for the figures and tables."""
    work: str = "runs/llmbar_judges.jsonl"
    """File for the verdicts as `evalkit judge` writes them."""
    strategy: str = "Vanilla"
    """The way of asking whose verdicts are taken."""
    overwrite: bool = False
    """Replace finished results."""


def main(config: Judges) -> None:
    """Turn the verdicts into rows of `evalkit judge`, and tell what they say."""
    rows = (row for row in read_rows(config.data) if row.values["strategy"] == config.strategy)
    told = (verdict_row(verdict) for row in rows for verdict in verdicts(row))
    write_rows(config.work, told, overwrite=True)
    asked = WinRates(
        verdicts=config.work, out=config.out, baseline="wrong answer", shown=0, overwrite=config.overwrite
    )
    run(asked)


def verdicts(row: Row) -> Iterator[Verdict]:
    """Yield both orders' verdicts of a row, told from the right answer.

    The winners are told in the order of the data in either case; what the first column says was asked with
    the data's first answer first.
    """
    right_is_first = row.number_in("label") == 1
    subset, index = str(row.values["subset"]), str(row.values["index"])
    comparison = Comparison(
        f"{subset} {index}", "", "", index, {"first_system": "right answer", "second_system": "wrong answer"}
    )
    for column, swapped in (("winner_noswap", False), ("winner_swap", True)):
        text = str(row.values[column])
        winner = WINNERS.get(float(text)) if text else None
        axis = subset.rpartition("/")[2]
        verdict = Verdict(
            comparison if right_is_first else comparison.swap(),
            winner,
            None,
            "" if winner else "parse_failed",
            str(row.values["evaluator"]),
            axis,
            swapped=swapped,
        )
        yield verdict if right_is_first else verdict.swap()


if __name__ == "__main__":
    main(auto_cli(Judges, args=sys.argv[1:], as_positional=False))
