"""One frozen configuration per annotation command: collecting, exporting and importing labels."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Renaming, Replacing, Resampled
from rewards.config import Checked, check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Stored(Checked):
    """Labels in a database."""

    db: str
    """Database of labels: a SQLite file, which `annotate` and `labels import` create, or a PostgreSQL URL."""


@dataclass(frozen=True, kw_only=True)
class Annotate(Stored, Renaming):
    """Serve a page on which people compare, rank and label responses, blind to the systems behind them."""

    data: str = ""
    """Rows to label; empty serves the tasks in the database, such as those of a judge human:DB."""
    screen: Literal["auto", "pairwise", "best", "ranking", "steps", "spans"] = "auto"
    """Kind of task: choose between two; the best of K and each one's quality; rank K; label each step; mark
    wrong spans. auto goes by the columns."""
    axis: str = ""
    """Quality to judge, such as harmless; empty is overall."""
    aspects: list[str] = field(default_factory=list)
    """Labels of spans, such as [irrelevant,unfactual,+insightful]; + marks praise."""
    separator: str = "\n\n"
    """Separator that ends a step, where a row has a response and no steps."""
    verdicts: list[str] | str = ""
    """Verdicts of judges on the same comparisons: those on which judges disagree come first, and the judges'
    win rate is corrected by people's."""
    annotators: list[str] = field(default_factory=list)
    """Names of annotators; each new one gets a personal link."""
    links: str = ""
    """File for new links, readable by its owner alone; empty prints them."""
    overlap: int | None = None
    """Annotators per task; not given keeps the store's value, 1 for a new store."""
    tiebreak: int | None = None
    """Extra answers to a task on which annotators disagree; not given keeps, or 0."""
    gold_every: int | None = None
    """One gold check (a row with a column gold) in so many tasks; not given keeps, or 10."""
    needed_every: int | None = None
    """Once in so many tasks the most needed comes first, else the next at random; not given keeps, or 2."""
    most: int | None = None
    """Most tasks per annotator, 0 for no limit; not given keeps, or 0."""
    lease: float | None = None
    """Seconds for which a task stays reserved for an inactive annotator; not given keeps, or 900."""
    seed: int | None = None
    """Seed of the order of responses and tasks; not given keeps, or 0."""
    title: str = ""
    """Heading of the page; empty keeps the store's, or the screen's default."""
    instructions: str = ""
    """Markdown file of instructions beside each task; empty keeps the store's."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """Port to listen at; 0 takes any that is free."""
    address: str = ""
    """Public URL of the page, where it is not host and port, such as https://labels.example.org."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"port": "0 or more"})
        if self.port > 65535:
            raise ConfigError(f"port is at most 65535, got {self.port}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step, got an empty one")


@dataclass(frozen=True, kw_only=True)
class LabelsExport(Stored, Replacing):
    """Export human labels as rows: as verdicts, or as training data of reward models."""

    out: str
    """File of rows."""
    form: Literal["labels", "verdicts", "preferences", "rankings", "steps", "spans", "ratings"] = "labels"
    """Everything, to be imported elsewhere; or one kind of record: verdicts for winrate, rank and agreement;
    preferences, rankings, steps and spans to train on; ratings of single answers."""
    annotators: list[str] = field(default_factory=list)
    """Annotators whose labels to export; empty is all."""
    axis: str = ""
    """Axis whose labels to export, `overall` for those without one; empty is all."""
    gold: bool = False
    """Export answers to gold checks too; the form labels always has them."""
    fair: bool = False
    """Take the labels alone that win rates so far are read from: the first answers to a random sample of the
    tasks. All labels of a study that is not done lean towards the tasks that were brought forward."""
    each: bool = False
    """Rankings of each annotator, instead of one for each task by mean rank."""
    neutral: Literal["right", "half", "wrong", "none"] = "right"
    """Label of a neutral step for training: 1, as in the PRM800K paper, 0.5, 0, or no label."""


@dataclass(frozen=True, kw_only=True)
class LabelsImport(Stored):
    """Import exported labels, or human verdicts from elsewhere; existing labels are not changed."""

    data: str
    """File of rows that `evalkit labels export` wrote as labels, rankings, steps or spans, or of verdicts."""
    annotator: str = ""
    """Annotator of the verdicts, where the rows have none."""


@dataclass(frozen=True, kw_only=True)
class LabelsInvite(Stored):
    """Make personal links for annotators, or renew lost ones."""

    annotators: list[str]
    """Names of people."""
    renew: bool = False
    """Replace existing links; the old ones become invalid."""
    links: str = ""
    """File for the links, readable by its owner alone; empty prints them."""
    address: str = "http://127.0.0.1:8000"
    """Public URL of the page."""


@dataclass(frozen=True, kw_only=True)
class LabelsStatus(Stored, Resampled, Replacing):
    """Show a study's status: counts, speed, checks, agreement, win rate so far, and labels still needed."""

    verdicts: list[str] | str = ""
    """Verdicts of judges on the same comparisons, whose win rate is corrected by people's."""
    out: str = ""
    """JSON file for the same statistics; empty prints only."""
    width: float = 0.03
    """Half-width of the confidence interval for which the needed labels are estimated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width < 0.5:
            raise ConfigError(f"width is between 0 and 0.5, got {self.width}")
