"""`evalkit probe`: tests a judge with answers that must not win, and with identical pairs."""

import csv
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from evalkit import runs
from evalkit.judging.config import ProbeJudge
from evalkit.judging.page.gathering import gather_comparisons
from evalkit.judging.page.verdict_page import write_verdict_page
from evalkit.judging.probe.figures import draw_probes
from evalkit.judging.probe.findings import ProbeFinding, ProbeOutcome, overall, probe_findings
from evalkit.judging.probe.page import COLUMNS, cells, headlines, notes, sections
from evalkit.runs import atomic_write, fingerprint, say, show, write_json
from judges.asking.config import without_secrets
from judges.asking.session import Session
from judges.judge import Comparison, Judge, Verdict
from judges.jury import Jury
from judges.panel import CHUNK, Panel, load_judges, questioning, spending_lines
from judges.probes import GOOD, IDENTICAL, Trial, make_trials
from judges.sides import Side
from judges.verdicts.groups import read_verdict_tables
from judges.verdicts.members import member_verdicts
from judges.verdicts.reading import verdict_row
from rewards.errors import DataError
from rewards.files import write_rows
from rewards.intervals import Resampling
from rewards.records import Generation, prompt_key

CSV_COLUMNS = (
    "probe", "kind", "measure", "value", "low", "high", "n", "missing", "prompts", "worst_low", "worst_high",
    "without", "injected", "healthy", "passes_from", "passes_to", "verdict",
)  # fmt: skip


def run(config: ProbeJudge) -> None:
    """Ask about every probe, then write probe.json, probe.csv, verdicts.jsonl, the figure and a page.

    Raises:
        EvalkitError: The data or the judge is not what was expected, or no verdict has a winner.
    """
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    trials = Trials(config)
    session = Session.open(replace(config, ledger=_ledger(config)))
    panel = Panel(session, load_judges(config.judge, session), "given", ask_identical=True)
    if config.plan:
        say("\n".join([trials.line(), *panel.plan_lines(trials)]))
        return
    inputs = {"data": fingerprint(config.data)}
    with runs.run(without_secrets(config), inputs, done="index.html") as folder:
        panel.ask(trials)
        seen = Seen()
        verdicts = trials.verdicts(panel.judges[0], seen)
        write_rows(folder / "verdicts.jsonl", map(verdict_row, verdicts), overwrite=True)
        if all(math.isnan(one.value) for one in seen.outcomes):
            missing = "; ".join(seen.missing())
            raise DataError(f"{config.judge}: none of {len(seen.outcomes)} verdicts has a winner: {missing}")
        findings = probe_findings(seen.outcomes, may_tie(panel.judges[0], trials), resampling)
        _write(config, folder, findings, trials)
    show(_printed(findings, config.level))
    for probe, health, told in headlines(findings):
        say(f"{probe}: {health} ({told})")
    for line in (*notes(findings, config.level), *seen.missing(), *spending_lines(session, panel.askers)):
        say(line)
    say(f"Results are in {folder}: index.html, probe.csv, probe.json, probe.png, verdicts.jsonl")


class Trials:
    """The probes of a run, made anew at each pass."""

    def __init__(self, config: ProbeJudge) -> None:
        """Read the good answers, the first one to each prompt, and see whether probes can be made of them.

        Raises:
            DataError: A row is broken or blank, or there are not enough different answers.
        """
        self._source, self._seed = config.data, config.seed
        self.repeated = 0
        """Rows left out, as their prompt was there before."""
        self.answers = list(self._good_answers(config))
        try:
            self.count = sum(1 for _ in self.all())
        except DataError as error:
            raise DataError(f"{config.data}: {error}") from None

    def all(self) -> Iterator[Trial]:
        """Yield every probe."""
        return make_trials(self.answers, self._seed)

    def __iter__(self) -> Iterator[Comparison]:
        """Yield every probe as a comparison for the judge."""
        return (trial.shown() for trial in self.all())

    def verdicts(self, judge: Judge, seen: "Seen") -> Iterator[Verdict]:
        """Yield the verdict on each probe, of the answer under test, and those of members of a jury."""
        numbers = {prompt_key(answer.prompt): number for number, answer in enumerate(self.answers)}
        trials = self.all()
        while chunk := list(itertools.islice(trials, CHUNK)):
            for trial, shown in zip(chunk, judge.compare([one.shown() for one in chunk]), strict=True):
                verdict = shown.swap() if trial.turned else shown
                seen.note(trial, numbers[prompt_key(trial.comparison.prompt)], verdict)
                yield verdict
                if isinstance(judge, Jury):
                    yield from member_verdicts(verdict)

    def line(self) -> str:
        """Return the number of comparisons, in words."""
        left = f", {self.repeated:,} rows left out whose prompt stands before" if self.repeated else ""
        return f"{self.count:,} comparisons made of {len(self.answers):,} prompts of {self._source}{left}"

    def _good_answers(self, config: ProbeJudge) -> Iterator[Generation]:
        known: set[str] = set()
        for row, generation in Side(config.data, GOOD, config.rename).generations():
            if not generation.response.strip():
                raise row.expected("response", "a good answer, not a blank one", generation.response)
            if prompt_key(generation.prompt) in known:
                self.repeated += 1
                continue
            known.add(prompt_key(generation.prompt))
            yield generation
            if len(known) == config.limit:
                return


@dataclass
class Seen:
    """Running counts of the verdicts."""

    outcomes: list[ProbeOutcome] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why verdicts have no winner."""
    details: dict[str, str] = field(default_factory=dict)
    """One example of each reason."""

    def note(self, trial: Trial, prompt: int, verdict: Verdict) -> None:
        """Count a verdict, oriented from the answer under test."""
        value = verdict.outcome()
        outcome = ProbeOutcome(
            trial.probe, trial.kind, prompt, trial.turned, math.nan if value is None else value
        )
        self.outcomes.append(outcome)
        if verdict.reason:
            self.details.setdefault(verdict.reason, verdict.detail)
            self.reasons[verdict.reason] += 1

    def missing(self) -> list[str]:
        """Return how many verdicts are missing, why, and how to get them."""
        lines = [
            f"{count:,} {reason}, such as: {self.details[reason]}" for reason, count in self.reasons.items()
        ]
        if set(self.reasons) - {"skipped"}:
            lines.append("--retry-failed with --overwrite asks the failed ones again")
        if self.details.get("skipped") == "budget":
            lines.append("a greater --budget with --overwrite goes on, and pays for nothing twice")
        return lines


def may_tie(judge: Judge, trials: Trials) -> bool:
    """Return whether a judge may call two answers equal: all but those whose answer format has no tie."""
    one = next(trial.comparison for trial in trials.all() if trial.probe == IDENTICAL)
    forms = [question.form for asked in questioning([judge]) for question in asked.questions(one)]
    return isinstance(judge, Jury) or not forms or any(form.kind == "grade" or form.ties for form in forms)


def _ledger(config: ProbeJudge) -> str:
    """Return the ledger's path, beside the folder, where --overwrite leaves it; a plan makes none."""
    path = config.ledger or f"{Path(config.out)}.ledger"
    return "" if config.plan and not Path(path).exists() else path


def _write(config: ProbeJudge, folder: Path, findings: Sequence[ProbeFinding], trials: Trials) -> None:
    with atomic_write(folder / "probe.csv") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(_row, findings))
    report = {
        "judge": config.judge,
        "data": config.data,
        "prompts": len(trials.answers),
        "comparisons": trials.count,
        "rows_left_out": trials.repeated,
        "level": config.level,
        "bootstrap": config.bootstrap,
        "seed": config.seed,
        "verdict": overall(findings),
        "probes": {probe: overall(findings, probe) for probe in dict.fromkeys(map(_probe, findings))},
        "figures": list(map(_row, findings)),
    }
    write_json(folder / "probe.json", report)
    draw_probes(findings, config.level, folder / "probe.png")
    verdicts = str(folder / "verdicts.jsonl")
    browser = gather_comparisons(verdicts, read_verdict_tables(verdicts), config.shown)
    found = sections(findings, config, trials.line(), folder / "probe.png")
    write_verdict_page(folder / "index.html", f"Health of {config.judge}", found, browser)


def _probe(finding: ProbeFinding) -> str:
    return finding.measure.probe


def _row(finding: ProbeFinding) -> dict[str, object]:
    measure = finding.measure
    return {
        "probe": measure.probe,
        "kind": finding.kind,
        "measure": measure.name,
        **asdict(finding.estimate),
        "without": finding.without,
        "injected": finding.injected,
        "healthy": measure.healthy,
        "passes_from": measure.low,
        "passes_to": measure.high,
        "verdict": finding.health,
    }


def _printed(findings: Sequence[ProbeFinding], level: float) -> Table:
    table = Table(
        box=SIMPLE, pad_edge=False, title=f"{level:.0%} intervals over prompts", title_justify="left"
    )
    for name in COLUMNS:
        table.add_column(name)
    for finding in findings:
        table.add_row(*cells(finding))
    return table
