"""`evalkit judge`: two systems' responses to the same prompts, and a judge's verdict on each pair."""

from dataclasses import replace
from pathlib import Path

from evalkit.judging.config import JudgeFiles
from evalkit.judging.judge_summary import JudgingSummary
from evalkit.runs.terminal import say
from judges.asking.session import Session
from judges.panel import Panel, load_judges
from judges.sides import Side, SideComparisons, match_sides, side_name
from judges.verdicts.reading import verdict_row
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import write_rows
from rewards.files.writing import WRITERS


def run(config: JudgeFiles) -> None:
    """Ask, keep every reply in the ledger, then write one row for each verdict."""
    ledger = config.ledger or f"{config.out}.ledger"
    _check_paths(config, ledger)
    first, second = (
        Side(source, side_name(source, name), config.rename)
        for source, name in ((config.first, config.first_name), (config.second, config.second_name))
    )
    matching = match_sides(first, second, config.unmatched)
    # A plan only reads: where there is no ledger yet, it leaves none.
    session = Session.open(
        replace(config, ledger="" if config.plan and not Path(ledger).exists() else ledger)
    )
    with session.ledger:
        panel = Panel(
            session,
            load_judges(config.judge, session, config.axes, config.repeats),
            config.order,
            config.seed,
            config.identical == "ask",
            config.axes,
            config.repeats,
        )
        _judge(config, panel, SideComparisons(first, second, matching, config.limit))


def _judge(config: JudgeFiles, panel: Panel, comparisons: SideComparisons) -> None:
    if config.plan:
        say("\n".join(panel.plan_lines(comparisons, config.batch)))
        return
    panel.ask(comparisons, config.batch, say)
    summary = JudgingSummary(config, comparisons)
    write_rows(config.out, map(verdict_row, summary.counted(panel.verdicts(comparisons))), config.overwrite)
    say("\n".join(summary.lines(panel)))


def _check_paths(config: JudgeFiles, ledger: str) -> None:
    """Refuse, before anything is paid for, what could not be written at the end or would be written over.

    Raises:
        ConfigError: Two of the files are one, or the output's name says no kind of file.
        OutputExistsError: The output is there.
    """
    out, kept = Path(config.out), Path(ledger)
    inputs = [Path(source).resolve() for source in (config.first, config.second)]
    if inputs[0] == inputs[1] and config.identical == "tie":
        raise ConfigError(
            f"{config.first}: is both systems, so all responses are identical; give another --second, or "
            "ask about copies by --identical ask"
        )
    for path, option in ((out, "--out"), (kept, "--ledger")):
        if path.resolve() in inputs:
            raise ConfigError(f"{path}: is an input too; give another {option}")
    if out.resolve() == kept.resolve():
        raise ConfigError(f"{out}: is both --out and --ledger; give the ledger another name")
    if not out.name.endswith(tuple(WRITERS)):
        raise ConfigError(f"{out}: an output ends in {', '.join(WRITERS)}")
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; give a file as --out")
    if out.exists() and not config.overwrite and not config.plan:
        raise OutputExistsError(f"{out}: exists and is finished; --overwrite replaces it")
