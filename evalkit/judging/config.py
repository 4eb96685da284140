"""One frozen configuration per command about verdicts: asking for them, and what they say."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Limited, Renaming, Replacing, Resampled
from judges.asking.config import AskingConfig
from rewards.config import check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Browsed(Resampled, Replacing):
    """A page with intervals and a browser of comparisons."""

    shown: int = 1000
    """Most comparisons in the page's browser; those on which verdicts disagree come first."""

    def __post_init__(self) -> None:
        check_ranges(self, {"bootstrap": "1 or more", "shown": "0 or more"})


@dataclass(frozen=True, kw_only=True)
class VerdictReport(Browsed):
    """A folder of tables, figures and a page, made of verdicts."""

    verdicts: list[str] | str
    """Verdicts of `evalkit judge`, or annotations of AlpacaEval, Arena-Hard or MT-bench; several as [A,B]."""
    out: str
    """Folder for the tables, the figures and index.html."""


@dataclass(frozen=True, kw_only=True)
class JudgeFiles(AskingConfig, Renaming, Limited, Replacing):
    """Ask a judge which of two systems answers better, prompt by prompt."""

    judge: str
    """Who judges: openai:MODEL, reward:SCORER, jury:A,B,C, or people by human:DB."""
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
    """Times that everything is asked; more than one tells how much a judge contradicts itself."""
    axes: list[str] = field(default_factory=list)
    """Qualities judged each by itself, such as [helpful,honest,harmless]; empty is overall."""
    identical: Literal["tie", "ask"] = "tie"
    """Identical responses are a tie that nobody is asked about, or are asked about too."""
    unmatched: Literal["refuse", "leave"] = "refuse"
    """A prompt that one file lacks stops everything, or is left out and counted."""
    seed: int = 0
    """Seed of a single order and of the intervals."""
    plan: bool = False
    """Say what would be asked, what it would cost and how long it would take, and ask nothing."""
    batch: bool = False
    """Ask through the endpoint's batch interface: cheaper, within a day."""
    overwrite: bool = False
    """Replace a finished output; what the ledger holds is never asked again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"repeats": "1 or more", "limit": "0 or more", "seed": "0 or more"})
        if len(set(self.axes)) < len(self.axes) or not all(self.axes):
            raise ConfigError(f"axes are distinct names, got {self.axes}")


@dataclass(frozen=True, kw_only=True)
class WinRates(VerdictReport):
    """Tell from verdicts how often one system wins, and how far that can be trusted."""

    out: str
    """Folder for winrate.json, winrate.csv, the figures and index.html."""
    baseline: str = ""
    """System that the others are held against; empty takes the second of each comparison."""
    ties: Literal["preference", "half", "disagree", "drop"] = "preference"
    """Every verdict counts, with the judge's probability where it gives one, or a tie as half a win; or one
    value a comparison, in which orders that disagree are a tie, or ties and disagreements are left out."""
    human: str = ""
    """Verdicts of people on some of the same comparisons, by which the judge's win rate is corrected."""
    width: float = 0.03
    """Half-width of an interval for which the prompts and the human verdicts that it takes are told."""

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
    """Features of style at which systems are held equal, beside the plain strengths: length, headers, lists,
    bold."""
    elo: bool = False
    """Give Elo ratings beside the strengths."""
    seed: int = 0
    """Seed of the resamples, and of the order for Elo."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"prior": "0 or more"})
        if len(set(self.style)) < len(self.style):
            raise ConfigError(f"style names each feature once, got {self.style}")
        if self.style and self.ties != "half":
            raise ConfigError(f"style goes with ties=half, got ties={self.ties}")


@dataclass(frozen=True, kw_only=True)
class Agree(VerdictReport):
    """Tell how far judges, human or not, agree: percent, kappa and alpha, with intervals."""

    verdicts: list[str] | str
    """Files of verdicts; the judges named in them are held against each other. Several as [A,B]."""
    out: str
    """Folder for agreement.csv, agreement.json, the figure and index.html."""


@dataclass(frozen=True, kw_only=True)
class ProbeJudge(AskingConfig, Renaming, Browsed):
    """Test a judge's health: null answers, injected verdicts, padding, swapped copies, identical pairs."""

    judge: str
    """Who is tested: openai:MODEL, reward:SCORER, jury:A,B,C."""
    data: str
    """Rows {prompt, response} of good answers, from which the probes are made."""
    out: str
    """Folder for probe.json, probe.csv, verdicts.jsonl, probe.png and index.html; the ledger is beside it."""
    limit: int = 50
    """Prompts to probe with; 0 uses all."""
    seed: int = 0
    """Seed of what is injected, where, and of the resamples."""
    plan: bool = False
    """Say what would be asked and what it would cost, and ask nothing."""
    overwrite: bool = False
    """Replace a finished run; what the ledger holds is never asked again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Browsed.__post_init__(self)
        check_ranges(self, {"limit": "0 or more", "seed": "0 or more"})


@dataclass(frozen=True)
class VerdictPairs(Replacing):
    """Make preferences or rankings of verdicts, to train on."""

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
    """Whose verdicts are taken; empty takes all, but of a file with a jury the jury's own alone, and of
    people what most of them say where that is there."""
    axis: str = ""
    """Quality whose verdicts are taken, `overall` for those on none; empty takes the only one there is."""

    def __post_init__(self) -> None:
        if self.margin != "none" and self.form != "preference":
            raise ConfigError(f"margin goes with form=preference, got form={self.form}")


@dataclass(frozen=True)
class LedgerExport(Replacing):
    """Write all that a ledger holds as JSON lines."""

    ledger: str
    """SQLite file of `evalkit judge`."""
    out: str
    """File of rows, one for each attempt."""


@dataclass(frozen=True)
class LedgerImport:
    """Add exported attempts to a ledger; what it holds already stays as it is."""

    data: str
    """File of rows that `evalkit ledger export` wrote."""
    ledger: str
    """SQLite file, made where there is none."""
