"""The comparison of LLMBar's judges: their verdicts as rows of `evalkit judge`, and `evalkit winrate`."""

from collections.abc import Iterator

from evalkit.experiments.llmbar_judges.config import LlmbarJudges
from evalkit.judging.config import WinRates
from evalkit.judging.winrate import command as winrate
from judges.judge import Comparison, Verdict, Winner
from judges.verdicts.reading import verdict_row
from rewards.files import Row, read_rows, write_rows

WINNERS: dict[float, Winner] = {1.0: "first", 2.0: "second"}


def run(config: LlmbarJudges) -> None:
    """Turn the verdicts into rows of `evalkit judge`, and show what they say."""
    rows = (row for row in read_rows(config.data) if row.values["strategy"] == config.strategy)
    told = (verdict_row(verdict) for row in rows for verdict in verdicts(row))
    write_rows(config.work, told, overwrite=True)
    asked = WinRates(
        verdicts=config.work, out=config.out, baseline="wrong answer", shown=0, overwrite=config.overwrite
    )
    winrate.run(asked)


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
