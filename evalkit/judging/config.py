"""One frozen configuration for each judging command."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Limited, Planned, Renaming, Replacing, Resampled
from rewards.config import check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Browsed(Resampled, Replacing):
    """Options of reports with a page: intervals and a browser of comparisons."""

    shown: int = 1000
    """Most comparisons in the page's browser; those on which verdicts disagree come first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"shown": "0 or more"})


@dataclass(frozen=True, kw_only=True)
class VerdictReport(Browsed):
    """Options of reports on verdicts: tables, figures and a page in a folder."""

    verdicts: list[str] | str
    """Verdicts of `evalkit judge`, or annotations of AlpacaEval, Arena-Hard or MT-bench; several as [A,B]."""
    out: str
    """Folder for the tables, the figures and index.html."""


@dataclass(frozen=True, kw_only=True)
class JudgeFiles(Planned, Renaming, Limited):
    """Ask a judge which of two systems answers better, prompt by prompt."""

    judge: str
    """Judge: openai:MODEL, reward:SCORER, jury:A,B,C, or people by human:DB."""
    first: str
    """File, folder or Hub name of the first system's rows {prompt, response}."""
    second: str
    """The second system's."""
    out: str
    """File of verdicts, one row each."""
    first_name: str = ""
    """Name of the first system; empty takes the file's."""
    second_name: str = ""
    """Name of the second system."""
    order: Literal["both", "one", "given"] = "both"
    """Ask with either side shown first, in one seeded order, or with the first system always first;
    people are asked once, each with the sides in an order of their own."""
    repeats: int = 1
    """Times that everything is asked; more than one measures a judge's self-consistency."""
    axes: list[str] = field(default_factory=list)
    """Qualities to judge separately, such as [helpful,honest,harmless]; empty is overall."""
    identical: Literal["tie", "ask"] = "tie"
    """Identical responses are a tie that nobody is asked about, or are asked about too."""
    unmatched: Literal["refuse", "leave"] = "refuse"
    """A prompt that one file lacks stops everything, or is left out and counted."""
    seed: int = 0
    """Seed of a single order and of the intervals."""
    batch: bool = False
    """Ask through the endpoint's batch interface: cheaper, within a day."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"repeats": "1 or more", "seed": "0 or more"})
        if len(set(self.axes)) < len(self.axes) or not all(self.axes):
            raise ConfigError(f"axes are distinct names, got {self.axes}")


@dataclass(frozen=True, kw_only=True)
class WinRates(VerdictReport):
    """Win rates from verdicts, with confidence intervals, position bias and length control."""

    out: str
    """Folder for winrate.json, winrate.csv, the figures and index.html."""
    baseline: str = ""
    """Baseline system of all win rates; empty takes the second of each comparison."""
    ties: Literal["preference", "half", "disagree", "drop"] = "preference"
    """Every verdict counts, with the judge's probability where it gives one, or a tie as half a win; or one
    value a comparison, in which orders that disagree are a tie, or ties and disagreements are left out."""
    human: str = ""
    """Verdicts of people on some of the same comparisons, by which the judge's win rate is corrected."""
    width: float = 0.03
    """Half-width of the confidence interval for which the needed prompts and human verdicts are estimated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width < 0.5:
            raise ConfigError(f"width is between 0 and 0.5, got {self.width}")


@dataclass(frozen=True, kw_only=True)
class Rank(VerdictReport):
    """Rank systems by verdicts: Bradley-Terry strengths with intervals, and which systems are tied."""

    out: str
    """Folder for leaderboard.csv, leaderboard.json, the figure and index.html."""
    ties: Literal["half", "davidson"] = "half"
    """A tie is half a win each, or has a strength of its own (Davidson 1970)."""
    prior: float = 0.0
    """Standard deviation of a normal prior on strengths, natural log, which ranks systems that never lose;
    1 is weak, 0 takes none."""
    style: list[Literal["length", "headers", "lists", "bold"]] = field(default_factory=list)
    """Style features to control for, beside the plain strengths: length, headers, lists,
    bold."""
    elo: bool = False
    """Give Elo ratings beside the strengths."""
    seed: int = 0
    """Seed of the bootstrap, and of the order for Elo."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"prior": "0 or more"})
        if len(set(self.style)) < len(self.style):
            raise ConfigError(f"style names each feature once, got {self.style}")
        if self.style and self.ties != "half":
            raise ConfigError(f"style goes with ties=half, got ties={self.ties}")


@dataclass(frozen=True, kw_only=True)
class Agree(VerdictReport):
    """Inter-rater agreement of judges, human or not: percent, kappa and alpha, with intervals."""

    verdicts: list[str] | str
    """Files of verdicts; the judges in them are compared with each other. Several as [A,B]."""
    out: str
    """Folder for agreement.csv, agreement.json, the figure and index.html."""


@dataclass(frozen=True, kw_only=True)
class ProbeJudge(Planned, Renaming, Browsed):
    """Test a judge's health: null answers, injected verdicts, padding, swapped copies, identical pairs."""

    judge: str
    """Judge to test: openai:MODEL, reward:SCORER, jury:A,B,C."""
    data: str
    """Rows {prompt, response} of good answers, from which the probes are made."""
    out: str
    """Folder for probe.json, probe.csv, verdicts.jsonl, probe.png and index.html; the ledger is beside it."""
    limit: int = 50
    """Prompts to probe with; 0 uses all."""
    seed: int = 0
    """Seed of the injections and of the bootstrap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True)
class VerdictPairs(Replacing):
    """Turn verdicts into preferences or rankings for training."""

    verdicts: list[str] | str
    """Files of verdicts that hold the responses; several as [A,B]."""
    out: str
    """File of rows {prompt, chosen, rejected} or {prompt, responses, ranks}."""
    form: Literal["preference", "ranking"] = "preference"
    """A row for each comparison, or for each prompt."""
    margin: Literal["none", "logit"] = "none"
    """Give each preference no margin, or the logit of the judges' mean probability, for the margin of the
    training loss."""
    judge: str = ""
    """Judge whose verdicts to use; empty uses all, but only the jury's own of a file with a jury, and the
    majority's of people where it is there."""
    axis: str = ""
    """Axis whose verdicts to use, `overall` for those without one; empty takes the only one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin != "none" and self.form != "preference":
            raise ConfigError(f"margin goes with form=preference, got form={self.form}")


@dataclass(frozen=True)
class LedgerExport(Replacing):
    """Export a ledger as JSON lines."""

    ledger: str
    """SQLite file of `evalkit judge`."""
    out: str
    """File of rows, one for each attempt."""


@dataclass(frozen=True)
class LedgerImport:
    """Import exported attempts into a ledger; existing entries are not changed."""

    data: str
    """File of rows that `evalkit ledger export` wrote."""
    ledger: str
    """SQLite file, created if missing."""
