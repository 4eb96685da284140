"""One frozen configuration per command that trains policies on texts or pairs, or compares policies."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.config import PreferenceFormat, refuse_own_input
from rewards.config import TrainingConfig, check_ranges
from rewards.errors import ConfigError
from rewards.screening import ScreeningConfig

DpoKind = Literal["sigmoid", "hinge", "slic", "ipo", "cdpo", "robust"]
"""Losses of pairs; `evalkit.policies.losses.dpo_loss` gives their formulas."""
PreferenceSource = Literal["direct", "sft-sample-rank", "rso-sample-rank"]
"""Where RSO's pairs come from (Liu et al. 2023, 2309.06657, section 3.1)."""


@dataclass(frozen=True)
class Drawing:
    """How responses are drawn from a policy."""

    temperature: float = 1.0
    """Divides the logits; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Draw among the likeliest tokens that hold this much probability."""
    top_k: int = 0
    """Draw among this many likeliest tokens; 0 is all."""
    max_new_tokens: int = 256
    """Most tokens in a response."""
    stop: list[str] = field(default_factory=list)
    """Texts before which a response is cut and ends."""
    batch_size: int = 0
    """Responses drawn side by side; 0 takes as many as fit half a gibibyte of keys and values."""


@dataclass(frozen=True)
class ProbeConfig:
    """What is looked at while a policy trains: scored samples on held-out prompts, and their KL."""

    data: str = ""
    """File, folder or Hub name of held-out prompts; empty looks at nothing (of PPO: holds prompts out)."""
    scorer: str = ""
    """Scorer that tells the proxy reward; PPO, RSO and best-of-n take their own where none is given."""
    gold: str = ""
    """Scorer that tells the truth; the weights that it likes best are kept in `OUT/best`."""
    prompts: int = 64
    """Prompts looked at, the first of `data`."""
    samples: int = 1
    """Responses to each."""
    every: int = 0
    """Updates between looks; 0 looks ten times in the run. The start and the end are always looked at."""
    patience: int = 0
    """Stop after this many looks without a higher gold (of the proxy where there is no gold); 0 never."""
    temperature: float = 1.0
    """Temperature of the responses; KL, perplexity and entropy are told of temperature 1 whatever it is."""
    max_new_tokens: int = 0
    """Most tokens in a response; 0 takes as many as the command samples, and 256 where it samples none."""
    seed: int = 0
    """Seed of the responses: every look draws by the same random numbers."""

    def __post_init__(self) -> None:
        ranges = {"prompts": "1 or more", "samples": "1 or more"}
        others = dict.fromkeys(("every", "patience", "max_new_tokens", "seed"), "0 or more")
        check_ranges(self, {**ranges, **others}, "probe.")


@dataclass(frozen=True)
class DpoConfig:
    """The loss of pairs, and how the reference's log-probabilities are had."""

    kind: DpoKind = "sigmoid"
    """Sigmoid (DPO, RSO's sigmoid-norm), hinge (hinge-norm), slic (without reference), ipo, cdpo, robust."""
    beta: float = 0.1
    """Strength of the pull to the reference (gamma in RSO's paper); of ipo, tau."""
    label_smoothing: float = 0.0
    """Probability that a pair is the wrong way round, for cdpo and robust; in [0, 0.5)."""
    reference: str = ""
    """Model folder or Hub id of the reference; empty is the policy that training starts from."""
    reference_log_probs: Literal["precomputed", "live"] = "precomputed"
    """Compute the reference's log-probabilities once, before training, or for each batch anew."""

    def __post_init__(self) -> None:
        check_ranges(self, {"beta": "above 0", "label_smoothing": "in [0, 0.5)"}, "dpo.")
        if self.label_smoothing and self.kind not in ("cdpo", "robust"):
            raise ConfigError(f"dpo.label_smoothing is of cdpo and robust; dpo.kind {self.kind} has none")


@dataclass(frozen=True)
class TrainSft:
    """Fine-tune a policy on responses: the log-likelihood of each response given its prompt."""

    policy: str
    """Model folder or Hub id of the causal language model that training starts from."""
    data: str
    """File, folder or Hub name of rows {prompt, response} or {prompt, responses}."""
    out: str
    """Folder for the trained policy."""
    evaluation_data: str = ""
    """Held-out rows; empty holds out `training.evaluation_share` of the prompts."""
    reference: str = ""
    """Model that the probe tells KL from; empty is the starting policy."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first rows only; 0 uses all."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted; a batch element is a row, whose responses share its prompt."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """What is looked at meanwhile."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """What happens to doubtful rows."""
    overwrite: bool = False
    """Replace a finished policy."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.reference)


@dataclass(frozen=True)
class TrainDpo:
    """Train a policy on preferences: DPO, RSO's losses, SLiC, IPO, cDPO or robust DPO."""

    policy: str
    """Model folder or Hub id of the causal language model that training starts from."""
    data: str
    """File, folder or Hub name of preferences: prompt, chosen, rejected."""
    out: str
    """Folder for the trained policy."""
    evaluation_data: str = ""
    """Held-out preferences; empty holds out `training.evaluation_share` of the prompts."""
    format: PreferenceFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first rows only; 0 uses all."""
    dpo: DpoConfig = field(default_factory=DpoConfig)
    """The loss and the reference."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted; a batch element is a pair."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """What is looked at meanwhile."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """What happens to doubtful rows."""
    overwrite: bool = False
    """Replace a finished policy."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.dpo.reference)


@dataclass(frozen=True)
class TrainRso:
    """Statistical rejection sampling optimisation: sample, score, reject, pair, and train on the pairs."""

    policy: str
    """Model folder or Hub id of the policy to sample and to start from, fine-tuned before."""
    data: str
    """File, folder or Hub name with a prompt column; of source direct, the preferences themselves."""
    out: str
    """Folder for the trained policy and everything on the way to it."""
    scorer: str = ""
    """Reward that samples are accepted and paired by; source direct needs none."""
    source: PreferenceSource = "rso-sample-rank"
    """Pairs as they are given, of samples of the policy, or of samples accepted by rejection sampling."""
    n: int = 64
    """Samples for each prompt."""
    k: int = 8
    """Samples of each prompt that are paired: accepted by rejection sampling, or the first."""
    beta: float = 0.5
    """Temperature of rejection sampling, in units of the scorer's reward."""
    pairs: Literal["first-round", "tournament", "all"] = "first-round"
    """How the k samples of a prompt are matched."""
    labels: Literal["reward", "bradley-terry"] = "reward"
    """The higher reward is chosen, or with probability sigmoid of the difference, as a rater would."""
    too_few: Literal["error", "keep", "drop"] = "keep"
    """Where a prompt has fewer than k different samples: stop, pair what there is, or leave it out."""
    drawing: Drawing = field(default_factory=Drawing)
    """How samples are drawn; the paper takes temperature 0.7 and top-k 40."""
    dpo: DpoConfig = field(default_factory=DpoConfig)
    """The loss on the pairs; the paper takes sigmoid or hinge with beta 0.05."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted; a batch element is a pair."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """What is looked at meanwhile."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first prompts only; 0 uses all."""
    seed: int = 0
    """Seed of the samples, the acceptance and the matching."""
    overwrite: bool = False
    """Replace a finished policy."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more", "beta": "above 0", "seed": "from 0 to 4294967295"})
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.dpo.reference, self.scorer)
        if self.source == "direct":
            return
        if not self.scorer:
            raise ConfigError(f"source {self.source} ranks samples by --scorer, and none is given")
        if not 2 <= self.k <= self.n:
            raise ConfigError(f"k is from 2 to n, the samples of a prompt; got k = {self.k} of n = {self.n}")


@dataclass(frozen=True)
class TrainBestOfN:
    """Distil best-of-n: sample, keep the best by reward, fine-tune on them; in one round or several."""

    policy: str
    """Model folder or Hub id of the policy to sample and to start from."""
    data: str
    """File, folder or Hub name with a prompt column."""
    scorer: str
    """Reward by which the best are kept."""
    out: str
    """Folder for the last round's policy and everything on the way to it."""
    rounds: int = 1
    """Rounds; each samples from the policy of the one before, as Llama 2's did."""
    n: int = 16
    """Samples for each prompt in a round."""
    k: int = 1
    """Samples kept of each prompt."""
    keep: Literal["round", "all"] = "round"
    """Keep the best of the round's samples, or of those of all rounds so far."""
    start_from: Literal["last", "first"] = "last"
    """Each round fine-tunes the policy of the one before, or the first policy anew."""
    drawing: Drawing = field(default_factory=Drawing)
    """How samples are drawn."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How a round is fitted; a batch element is a prompt with what is kept of its samples."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """What is looked at meanwhile, in each round; the reference is the first policy."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first prompts only; 0 uses all."""
    seed: int = 0
    """Seed of the samples; each round draws by one of its own."""
    overwrite: bool = False
    """Replace a finished policy."""

    def __post_init__(self) -> None:
        check_ranges(self, {"rounds": "1 or more", "limit": "0 or more", "seed": "from 0 to 4294967295"})
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.scorer)
        if not 1 <= self.k <= self.n:
            raise ConfigError(f"k is from 1 to n, the samples of a prompt; got k = {self.k} of n = {self.n}")


def check_policy_training(config: TrainingConfig) -> None:
    """Refuse knobs of reward models, which no policy reads.

    Raises:
        ConfigError: One of them is set.
    """
    for name in ("margin", "label_smoothing", "centering"):
        if getattr(config, name):
            raise ConfigError(f"training.{name} is of reward models; a policy is trained without it")
    if config.micro_batch_prompts and config.batch_prompts % config.micro_batch_prompts:
        raise ConfigError(
            f"training.batch_prompts {config.batch_prompts} is no multiple of training.micro_batch_prompts "
            f"{config.micro_batch_prompts}"
        )
    if config.lora.rank and not config.lora.merge:
        raise ConfigError(
            "training.lora.merge false keeps adapters apart; a policy is saved with them merged, so that it "
            "loads as a plain model"
        )
