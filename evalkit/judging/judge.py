"""`evalkit judge`: two systems' responses to the same prompts, and a judge's verdict on each pair."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from evalkit.judging.config import JudgeFiles
from evalkit.judging.judge_summary import IDENTICAL, Summary, Watch
from evalkit.judging.sides import Matching, Side, comparisons, match_sides, side_name
from evalkit.runs.terminal import terminal
from judges.asking.batch import run_batches
from judges.asking.session import Session
from judges.human.judge import HumanJudge
from judges.judge import Comparison, Judge, Verdict, shows_second_first
from judges.jury import Jury
from judges.panel import asks_people, load_judges, people_asked, plan_lines, questioning, questions, rounds
from judges.verdicts.annotation import order_known
from judges.verdicts.members import member_verdicts, members_in
from judges.verdicts.reading import verdict_row
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import write_rows
from rewards.files.writing import WRITERS

CHUNK = 256
"""Comparisons whose verdicts are looked up at a time."""


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
        judges = load_judges(config.judge, session, config.axes, config.repeats)
        if all(asks_people(judge) for judge in judges):
            config = replace(config, order="given")  # each person sees the sides in an order of their own
        _judge(config, session, judges, Pairs(config, first, second, matching))


def _judge(config: JudgeFiles, session: Session, judges: Sequence[Judge], pairs: "Pairs") -> None:
    console = terminal()
    if config.plan:
        console.print("\n".join(plan_lines(session, judges, pairs.shown, config.batch)), soft_wrap=True)
        return
    ask_ahead(judges, pairs.shown, config.batch, console)
    summary = Summary(config, pairs.matching, pairs.first.name, pairs.second.name)
    write_rows(config.out, map(verdict_row, summary.counted(pairs.verdicts(judges))), config.overwrite)
    databases = {judge.store.name: None for judge in people_asked(judges)}
    told = summary.lines(session, [judge.asker for judge in questioning(judges)], list(databases))
    console.print("\n".join(told), soft_wrap=True)


class Pairs:
    """The comparisons of a run in the orders asked, read anew at each pass."""

    def __init__(self, config: JudgeFiles, first: Side, second: Side, matching: Matching) -> None:
        self._config = config
        self.first, self.second, self.matching = first, second, matching

    def comparisons(self) -> Iterator[Comparison]:
        """Yield each comparison once, as given."""
        return comparisons(self.first, self.second, self.matching, self._config.limit)

    def shown(self) -> Iterator[Comparison]:
        """Yield each comparison that is asked, as the judge is to see it."""
        for comparison in self.comparisons():
            if not self._settled(comparison):
                yield from (comparison.swap() if turned else comparison for turned in self._turns(comparison))

    def verdicts(self, judges: Sequence[Judge]) -> Iterator[Verdict]:
        """Yield every judge's verdicts on each comparison, told as the comparison was given."""
        rest = self.comparisons()
        while chunk := list(itertools.islice(rest, CHUNK)):
            plan = [(one, turned) for one in chunk if not self._settled(one) for turned in self._turns(one)]
            answers = [
                iter(judge.compare([one.swap() if turned else one for one, turned in plan]))
                for judge in judges
            ]
            for comparison in chunk:
                for judge, verdicts, (axis, repeat) in zip(judges, answers, self._rounds(), strict=True):
                    for turned in self._turns(comparison):
                        if self._settled(comparison):
                            yield from _ties(comparison, judge, axis, repeat, turned)
                            continue
                        verdict = next(verdicts)
                        again = turned and self._config.order == "both"
                        yield from _told(judge, verdict.swap() if turned else verdict, again)

    def _rounds(self) -> list[tuple[str, int]]:
        return rounds(self._config.axes, self._config.repeats)

    def _settled(self, comparison: Comparison) -> bool:
        return comparison.first == comparison.second and self._config.identical == "tie"

    def _turns(self, comparison: Comparison) -> tuple[bool, ...]:
        """Return, for each time a comparison is asked, whether its second response is shown first."""
        if self._config.order == "both":
            return (False, True)
        return (self._config.order == "one" and shows_second_first(comparison, self._config.seed),)


def ask_ahead(
    judges: Sequence[Judge], shown: Callable[[], Iterable[Comparison]], batch: bool, console: Console
) -> None:
    """Bring all answers into the ledger, as fast as the limits allow; `compare` then only looks them up.

    Args:
        judges: Those that ask no endpoint are passed over.
        shown: Gives all comparisons as they are to be seen, anew at each call.
        batch: Whether to ask by the Batch API.
        console: Where it is said what becomes of a batch.

    Raises:
        ConfigError: A batch is asked for, of judges that ask no endpoint.
    """
    asked = list(questioning(judges))
    if batch and not asked:
        raise ConfigError("--batch is for judges that are asked over the network, such as openai:MODEL")
    if batch:
        tell = partial(console.print, soft_wrap=True, highlight=False, markup=False)
        for judge in asked:
            asker, every = judge.asker, questions(judge, shown())
            tell(run_batches(asker.session, asker.model, every, asker.base_url, tell=tell).line())
    else:
        with Watch() as watch:
            for judge in asked:
                judge.asker.progress = watch.show
                judge.asker.ask(questions(judge, shown()))
    for judge in asked:
        judge.asker.finished = True


def _ties(comparison: Comparison, judge: Judge, axis: str, repeat: int, turned: bool) -> Iterator[Verdict]:
    """Yield a tie in place of each verdict to be asked for, so that all prompts weigh alike."""
    for name in (getattr(judge, "name", ""), *getattr(judge, "names", ())):
        yield Verdict(comparison, "tie", None, "", name, axis, repeat, turned, detail=IDENTICAL)


def _told(judge: Judge, verdict: Verdict, again: bool) -> Iterator[Verdict]:
    """Yield a verdict, and behind a jury's those of its members; so, too, of several people.

    Args:
        judge: Who gave it.
        verdict: Told as the comparison was given.
        again: Whether it is the second order's; people, who are asked once, stand behind the first one's.
    """
    yield verdict
    if isinstance(judge, Jury) or (isinstance(judge, HumanJudge) and not judge.annotator):
        for member in member_verdicts(verdict):
            if order_known(member):
                yield member
            elif not again:
                yield member
                yield from member_verdicts(member) if members_in(member) else ()


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
