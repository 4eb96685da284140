"""One frozen configuration per command about people's labels: asking for them, and carrying them."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Renaming, Replacing, Resampled
from rewards.config import check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Annotate(Renaming):
    """Serve a page on which people compare, rank and label answers, blind to who wrote them."""

    db: str
    """Where the labels are kept: a SQLite file, made where there is none, or the URL of a PostgreSQL."""
    data: str = ""
    """Rows to be labelled; empty serves what is there already, such as what a judge human:DB asked."""
    screen: Literal["auto", "pairwise", "best", "ranking", "steps", "spans"] = "auto"
    """How people are asked: which of two; the best of K and each one's quality; the order of K; how good each
    step is; which stretches are wrong. auto goes by the columns."""
    axis: str = ""
    """Quality that is judged, such as harmless; empty is overall."""
    aspects: list[str] = field(default_factory=list)
    """What a span may be marked as, such as [irrelevant,unfactual,+insightful]; + marks praise."""
    separator: str = "\n\n"
    """What ends a step, where a row has a response and no steps."""
    verdicts: list[str] | str = ""
    """Verdicts of judges on the same comparisons: those on which judges disagree come first, and the judges'
    win rate is corrected by people's."""
    annotators: list[str] = field(default_factory=list)
    """Names of people; each who is new gets a personal link."""
    links: str = ""
    """File to which new links are written, readable by its owner alone; empty prints them."""
    overlap: int | None = None
    """People who answer each task; not given keeps what the store says, 1 where it is new."""
    tiebreak: int | None = None
    """More answers to a task on which people do not say the same; not given keeps, or 0."""
    gold_every: int | None = None
    """A planted check (a row with a column gold) comes once in so many tasks; not given keeps, or 10."""
    needed_every: int | None = None
    """Once in so many tasks the most needed comes first, else the next at random; not given keeps, or 2."""
    most: int | None = None
    """Most tasks that one person answers, 0 for no limit; not given keeps, or 0."""
    lease: float | None = None
    """Seconds for which a task is held for a person who shows no sign of life; not given keeps, or 900."""
    seed: int | None = None
    """Seed of who sees what first, and of the order of tasks; not given keeps, or 0."""
    title: str = ""
    """Heading of the page; empty keeps what the store says, or a question that fits the screen."""
    instructions: str = ""
    """Markdown file that people can read beside each task; empty keeps what the store says."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """Port to listen at; 0 takes any that is free."""
    address: str = ""
    """How people reach the page, where it is not by host and port, such as https://labels.example.org."""

    def __post_init__(self) -> None:
        check_ranges(self, {"port": "0 or more"})
        if self.port > 65535:
            raise ConfigError(f"port is at most 65535, got {self.port}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step, got an empty one")


@dataclass(frozen=True, kw_only=True)
class LabelsExport(Replacing):
    """Write people's labels as rows: as verdicts, or as what reward models are trained on."""

    db: str
    """SQLite file or URL of a PostgreSQL."""
    out: str
    """File of rows."""
    form: Literal["labels", "verdicts", "preferences", "rankings", "steps", "spans", "ratings"] = "labels"
    """Everything, to be imported elsewhere; or one kind of record: verdicts for winrate, rank and agreement;
    preferences, rankings, steps and spans to train on; ratings of single answers."""
    annotators: list[str] = field(default_factory=list)
    """Whose labels are taken; empty takes all."""
    axis: str = ""
    """Quality whose labels are taken, `overall` for those on none; empty takes all."""
    gold: bool = False
    """Take answers to planted checks too; the form labels always has them."""
    fair: bool = False
    """Take the labels alone that win rates so far are read from: the first answers to a random sample of the
    tasks. All labels of a study that is not done lean towards the tasks that were brought forward."""
    each: bool = False
    """Rankings of each person by itself, instead of one for each task by the mean of people's places."""
    neutral: Literal["right", "half", "wrong", "none"] = "right"
    """What a neutral step is to whoever trains on it: 1, as in the paper of PRM800K, 0.5, 0, or no label."""


@dataclass(frozen=True, kw_only=True)
class LabelsImport:
    """Add exported labels, or verdicts of people from elsewhere; what is there stays as it is."""

    data: str
    """File of rows that `evalkit labels export` wrote as labels, rankings, steps or spans, or of verdicts."""
    db: str
    """SQLite file, made where there is none, or URL of a PostgreSQL."""
    annotator: str = ""
    """Whose verdicts they are, where the rows do not say."""


@dataclass(frozen=True, kw_only=True)
class LabelsInvite:
    """Make personal links for people, or new ones for those whose link is lost."""

    db: str
    """SQLite file or URL of a PostgreSQL."""
    annotators: list[str]
    """Names of people."""
    renew: bool = False
    """Make a new link for those who have one, which ends the old."""
    links: str = ""
    """File to which the links are written, readable by its owner alone; empty prints them."""
    address: str = "http://127.0.0.1:8000"
    """How people reach the page."""


@dataclass(frozen=True, kw_only=True)
class LabelsStatus(Resampled, Replacing):
    """Tell how far a study is: counts, speed, checks, agreement, win rate so far, and labels still needed."""

    db: str
    """SQLite file or URL of a PostgreSQL."""
    verdicts: list[str] | str = ""
    """Verdicts of judges on the same comparisons, whose win rate is corrected by people's."""
    out: str = ""
    """JSON file for the same figures; empty prints only."""
    width: float = 0.03
    """Half-width of an interval for which the labels that it takes are told."""

    def __post_init__(self) -> None:
        check_ranges(self, {"bootstrap": "1 or more", "seed": "0 or more"})
        for name, most in (("width", 0.5), ("level", 1)):
            if not 0 < getattr(self, name) < most:
                raise ConfigError(f"{name} is between 0 and {most}, got {getattr(self, name)}")
