"""One frozen configuration per command about steps: labels, models, search and evaluation."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.config import refuse_own_input
from rewards.answers import Grader
from rewards.config import BodyConfig, ProcessConfig, TrainingConfig, check_ranges
from rewards.errors import ConfigError
from rewards.screening import ScreeningConfig

StepFormat = Literal["auto", "stepwise", "prm800k", "math-shepherd", "processbench"]
"""How labelled steps are written; auto recognises them by the first row's columns."""
NeutralRule = Literal["right", "wrong", "unlabelled"]
"""What PRM800K's rating 0 counts as; the paper counts it as right."""


@dataclass(frozen=True)
class TrainProcess:
    """Train a process reward model on labelled steps: the probability that each step is right."""

    data: str
    """File, folder or Hub name of labelled steps: prompt, completions, labels; or a public set's format."""
    out: str
    """Folder for the trained model."""
    evaluation_data: str = ""
    """Held-out labelled steps; empty holds out `training.evaluation_share` of the prompts."""
    format: StepFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    neutral: NeutralRule = "right"
    """What a neutral step of PRM800K counts as; the paper says right."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first solutions only; 0 uses all."""
    process: ProcessConfig = field(default_factory=ProcessConfig)
    """Separator, class weights, aggregation, threshold."""
    body: BodyConfig = field(default_factory=BodyConfig)
    """The model under the head."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """What happens to doubtful rows."""
    overwrite: bool = False
    """Replace a finished model."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True)
class TrainCorrectness:
    """Train an outcome reward model on graded solutions: the probability that the final answer is right."""

    data: str
    """File, folder or Hub name of rows {prompt, response, LABEL} or {prompt, responses, LABELs}."""
    out: str
    """Folder for the trained model."""
    label: str = "correct"
    """Column that says whether a response is right: true or false, or a number in [0, 1]."""
    tokens: Literal["all", "last"] = "all"
    """Tokens that learn the label: all of the response, as in Let's Verify, or the last alone."""
    evaluation_data: str = ""
    """Held-out graded solutions; empty holds out `training.evaluation_share` of the prompts."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first solutions only; 0 uses all."""
    body: BodyConfig = field(default_factory=BodyConfig)
    """The model under the head."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """What happens to doubtful rows."""
    overwrite: bool = False
    """Replace a finished model."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})
        if not self.label:
            raise ConfigError("label names the column that says whether a response is right; it is empty")


@dataclass(frozen=True)
class LabelSteps:
    """Label steps automatically: how often completions from each step prefix end in the right answer."""

    policy: str
    """Model folder or Hub id that completes solutions."""
    data: str
    """Rows {prompt, answer} with {completions} or {steps}, or {response} or {responses} to be split."""
    out: str
    """File of rows {prompt, completions, labels, ...}, one a solution."""
    n: int = 16
    """Completions from each step at most."""
    label: Literal["hard", "soft"] = "hard"
    """Hard: 1 if any completion is right. Soft: the share of them that is."""
    stop_early: bool = True
    """Sample no more from a step once its label is decided: a right completion for hard, `width` for soft."""
    width: float = 0.1
    """Half-width of a soft label's interval at which it is decided; 0.1 takes 16 completions at the least."""
    batch: int = 4
    """Completions sampled from a step before it is looked at again."""
    level: float = 0.95
    """Level of the labels' intervals."""
    grader: Grader = "numeric"
    """How a completion's final answer is held against the reference."""
    answer: str = "answer"
    """Column of the reference answer: the answer alone, or a solution that marks it."""
    separator: str = "\n"
    """What ends a step: a response is split there, and steps that do not end in it are joined by it."""
    temperature: float = 1.0
    """Sampling temperature of the completions."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that hold this much probability."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0 is all."""
    max_new_tokens: int = 256
    """Most tokens in a completion; one that is cut there counts as not right."""
    stop: list[str] = field(default_factory=list)
    """Texts before which a completion is cut and ends, for models that go on after the answer."""
    seed: int = 0
    """Seed of the completions."""
    cache: str = ""
    """File that keeps every completion, to be shared by runs; empty is OUT.rollouts.sqlite."""
    chunk_rows: int = 32
    """Rows labelled and written at a time; their steps are sent to the policy together."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first rows only; 0 uses all."""
    overwrite: bool = False
    """Replace a finished output."""

    def __post_init__(self) -> None:
        check_ranges(self, dict.fromkeys(("n", "batch", "chunk_rows"), "1 or more"))
        check_ranges(self, {"width": "above 0", "limit": "0 or more", "seed": "from 0 to 4294967295"})
        check_ranges(self, {"temperature": "above 0"})  # at 0 all completions of a step are one
        if not 0 < self.level < 1:
            raise ConfigError(f"level is between 0 and 1, got {self.level}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step; it is empty")
        refuse_own_input(self.out, self.data, self.policy)
        refuse_own_input(self.cache or self.out, self.data, self.policy)
        if self.cache == self.out:
            raise ConfigError(f"cache and out are two files, got {self.out} for both")


@dataclass(frozen=True)
class Search:
    """Search for solutions with a policy, guided by a scorer of steps, under one budget for all methods."""

    policy: str
    """Model folder or Hub id that writes steps."""
    scorer: str
    """Process reward model, or any scorer that grades unfinished solutions."""
    data: str
    """File, folder or Hub name with a prompt column."""
    out: str
    """File of rows {prompt, best_response, voted_response, responses, scores, answers, ..., budget}."""
    method: Literal["best-of-n", "weighted-majority", "beam", "dvts"] = "beam"
    """Sample n whole solutions, or grow them: one beam of n / width, or n / width beams of one (dvts)."""
    n: int = 16
    """Candidates scored at once for each prompt: whole solutions, or for beam and dvts next steps."""
    width: int = 4
    """Next steps sampled from each solution kept, in beam and dvts; n is a multiple of it."""
    max_steps: int = 40
    """Most steps in a solution, in beam and dvts; one that is not finished then is cut."""
    separator: str = "\n"
    """What ends a step; whole solutions are cut after it too, to be scored."""
    grader: Grader = "numeric"
    """How answers are told apart in a vote, and held against the column `answer` where there is one."""
    temperature: float = 1.0
    """Sampling temperature."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that hold this much probability."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0 is all."""
    max_new_tokens: int = 256
    """Most tokens in a solution."""
    max_step_tokens: int = 128
    """Most tokens in a step, in beam and dvts; a step without an end by then cuts its solution."""
    seed: int = 0
    """Seed of the samples."""
    chunk_prompts: int = 16
    """Prompts searched and written at a time."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first prompts only; 0 uses all."""
    overwrite: bool = False
    """Replace a finished output."""

    def __post_init__(self) -> None:
        names = ("n", "width", "max_steps", "max_new_tokens", "max_step_tokens", "chunk_prompts")
        check_ranges(self, {**dict.fromkeys(names, "1 or more"), "limit": "0 or more"})
        check_ranges(self, {"seed": "from 0 to 4294967295"})
        if self.method in ("beam", "dvts") and self.n % self.width:
            raise ConfigError(f"n is a multiple of width for {self.method}, got {self.n} and {self.width}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step; it is empty")
        refuse_own_input(self.out, self.data, self.policy, self.scorer)


@dataclass(frozen=True)
class ProcessEval:
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
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    bins: int = 10
    """Bins of the calibration error."""
    seed: int = 0
    """Seed of the resamples."""
    overwrite: bool = False
    """Replace a finished report."""

    def __post_init__(self) -> None:
        check_ranges(self, {"bins": "1 or more", "bootstrap": "1 or more", "seed": "0 or more"})
        if self.out:
            refuse_own_input(self.out, self.data, self.scorer, self.calibration_data)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the answer that is chosen from N samples, against N: by scores, by votes, by luck."""

    data: str
    """Scored and graded rows {prompt, responses, SCOREs, CORRECTs}, or one row a response."""
    out: str
    """Folder for accuracy.csv, accuracy.json and accuracy.png."""
    score: list[str] | str = "score"
    """Column of the score that chooses; a list, as [prm,orm], draws a curve for each."""
    correct: str = "correct"
    """Column that says whether a response is right: true or false, or 1 or 0."""
    answer: str = "answer"
    """Column of the final answer, counted in votes; without it there are no votes."""
    n: list[int] = field(default_factory=list)
    """Sizes N; empty takes the powers of two."""
    subsets: int = 64
    """Random subsets of each size in which votes are counted; best-of-N is exact."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    seed: int = 0
    """Seed of the subsets and the resamples."""
    overwrite: bool = False
    """Replace a finished run."""

    def __post_init__(self) -> None:
        check_ranges(self, {"subsets": "1 or more", "bootstrap": "1 or more", "seed": "0 or more"})
        refuse_own_input(self.out, self.data)
