"""Configurations of `evalkit evaluate`, `process-eval`, `accuracy` and `aspect-card`."""

from dataclasses import dataclass, field

from evalkit.runs.config import Renaming, Replacing, Resampled
from evalkit.runs.files import refuse_own_input
from rewards.config import check_ranges
from rewards.data.preferences import PreferenceFormat
from rewards.data.prm800k import NeutralRule
from rewards.data.spans import SpanFormat
from rewards.data.steps import StepFormat


@dataclass(frozen=True)
class Evaluate(Renaming, Resampled, Replacing):
    """A scorer's report card on preferences: accuracy beside null baselines, calibration, per source."""

    scorer: str
    """Model folder or Hub id, rule:length, column:NAME, ensemble:A,B, testbed:facts."""
    data: str
    """File, folder or Hub name of preferences or rankings."""
    out: str
    """Folder for report.json, rows.jsonl and reliability.png."""
    format: PreferenceFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    source: str = ""
    """Column by which accuracy is split."""
    prompt_blind: bool = True
    """Also score responses without their prompts, as a baseline."""
    bins: int = 10
    """Bins of the calibration error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_own_input(self.out, self.data, self.scorer)


@dataclass(frozen=True)
class AspectCard(Renaming, Resampled, Replacing):
    """Report card of a scorer's aspects: each against its labels, and their correlations."""

    scorer: str
    """Scorer that gives aspects or spans."""
    data: str
    """Rows with labels of aspects: {prompt, response, spans} or a column for each aspect."""
    out: str
    """Folder for report.json, aspects.csv, correlations.csv and figures."""
    format: SpanFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    columns: list[str] = field(default_factory=list)
    """Columns that hold the aspects' labels, where they stand in columns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_own_input(self.out, self.data, self.scorer)


@dataclass(frozen=True)
class ProcessEval(Renaming, Resampled, Replacing):
    """Find the first wrong step of solutions (ProcessBench), with step-level ROC and calibration."""

    scorer: str
    """Process reward model, or any scorer that gives steps."""
    data: str
    """File, folder or Hub name of labelled steps, such as ProcessBench's."""
    threshold: float = 0.5
    """A step that scores below is wrong; the first such step is the first error."""
    calibration_data: str = ""
    """Labelled steps on which the threshold of the highest F1 is chosen, in place of `threshold`."""
    out: str = ""
    """Folder for report.json, steps.jsonl and process.png; empty prints only."""
    format: StepFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    neutral: NeutralRule = "right"
    """What a neutral step of PRM800K counts as; the paper says right."""
    bins: int = 10
    """Bins of the calibration error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"bins": "1 or more"})
        if self.out:
            refuse_own_input(self.out, self.data, self.scorer, self.calibration_data)


@dataclass(frozen=True)
class Accuracy(Renaming, Resampled, Replacing):
    """Accuracy of the answer chosen from N samples, against N: best-of-n, votes, pass@N."""

    data: str
    """Scored and graded rows {prompt, responses, SCOREs, CORRECTs}, or one row a response."""
    out: str
    """Folder for accuracy.csv, accuracy.json and accuracy.png."""
    score: list[str] | str = "score"
    """Column of the score to select by; a list, as [prm,orm], draws a curve for each."""
    correct: str = "correct"
    """Column that says whether a response is right: true or false, or 1 or 0."""
    answer: str = "answer"
    """Column of the final answer, counted in votes; without it there are no votes."""
    n: list[int] = field(default_factory=list)
    """Sizes N; empty takes the powers of two."""
    subsets: int = 64
    """Random subsets of each size in which votes are counted; best-of-N is exact."""
    seed: int = field(default=0, kw_only=True)
    """Seed of the subsets and the bootstrap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"subsets": "1 or more"})
        refuse_own_input(self.out, self.data)
