"""One frozen configuration per command that trains policies."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.pipeline.config import SampledPrompts
from evalkit.policies.config import DpoConfig, Drawing, ProbeConfig
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.runs.config import Limited, Renaming, Replacing, Seeded
from evalkit.runs.files import refuse_own_input
from evalkit.training.config import HeldOut
from rewards.config import TrainingConfig, check_ranges
from rewards.data.preferences import PreferenceFormat
from rewards.errors import ConfigError

PreferenceSource = Literal["direct", "sft-sample-rank", "rso-sample-rank"]
"""Where RSO's pairs come from (Liu et al. 2023, 2309.06657, section 3.1)."""


@dataclass(frozen=True)
class PolicyTraining(Renaming, Limited, Replacing):
    """Options of all commands that train policies."""

    policy: str
    """Model folder or Hub id of the causal language model that training starts from."""
    data: str
    """File, folder or Hub name of what is trained on."""
    probe: ProbeConfig = field(default_factory=ProbeConfig, kw_only=True)
    """The probe on held-out prompts."""


@dataclass(frozen=True)
class TrainSft(HeldOut, PolicyTraining):
    """Fine-tune a policy on responses: the log-likelihood of each response given its prompt."""

    policy: str
    """Model folder or Hub id of the causal language model that training starts from."""
    data: str
    """File, folder or Hub name of rows {prompt, response} or {prompt, responses}."""
    out: str
    """Folder for the trained policy."""
    reference: str = ""
    """Reference policy of the probe's KL; empty is the starting policy."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted; a batch element is a row, whose responses share its prompt."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.reference)


@dataclass(frozen=True)
class TrainDpo(HeldOut, PolicyTraining):
    """Train a policy on preferences: DPO, RSO's losses, SLiC, IPO, cDPO or robust DPO."""

    policy: str
    """Model folder or Hub id of the causal language model that training starts from."""
    data: str
    """File, folder or Hub name of preferences: prompt, chosen, rejected."""
    out: str
    """Folder for the trained policy."""
    format: PreferenceFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    dpo: DpoConfig = field(default_factory=DpoConfig)
    """The loss and the reference."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted; a batch element is a pair."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.dpo.reference)


@dataclass(frozen=True)
class TrainRso(SampledPrompts, Seeded, PolicyTraining):
    """Statistical rejection sampling optimisation: sample, score, reject, pair, and train on the pairs."""

    policy: str
    """Model folder or Hub id of the policy to sample and to start from, fine-tuned before."""
    data: str
    """File, folder or Hub name with a prompt column; of source direct, the preferences themselves."""
    out: str
    """Folder for the trained policy and all intermediate files."""
    scorer: str = ""
    """Reward that samples are accepted and paired by; source direct needs none."""
    source: PreferenceSource = "rso-sample-rank"
    """Given pairs, pairs of the policy's samples, or pairs of samples accepted by rejection sampling."""
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
    drawing: Drawing = field(default_factory=Drawing, kw_only=True)
    """Sampling settings; the paper takes temperature 0.7 and top-k 40."""
    dpo: DpoConfig = field(default_factory=DpoConfig)
    """The loss on the pairs; the paper takes sigmoid or hinge with beta 0.05."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted; a batch element is a pair."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"beta": "above 0"})
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.dpo.reference, self.scorer)
        if self.source == "direct":
            return
        if not self.scorer:
            raise ConfigError(f"source {self.source} ranks samples by --scorer, and none is given")
        if not 2 <= self.k <= self.n:
            raise ConfigError(f"k is from 2 to n, the samples of a prompt; got k = {self.k} of n = {self.n}")


@dataclass(frozen=True)
class TrainBestOfN(SampledPrompts, Seeded, PolicyTraining):
    """Distil best-of-n: sample, keep the best by reward, fine-tune on them; in one round or several."""

    policy: str
    """Model folder or Hub id of the policy to sample and to start from."""
    data: str
    """File, folder or Hub name with a prompt column."""
    scorer: str
    """Reward by which the best are kept."""
    out: str
    """Folder for the last round's policy and all intermediate files."""
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
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How a round is fitted; a batch element is a prompt with what is kept of its samples."""
    probe: ProbeConfig = field(default_factory=ProbeConfig, kw_only=True)
    """The probe on held-out prompts, in each round; its reference is the first policy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"rounds": "1 or more"})
        check_policy_training(self.training)
        refuse_own_input(self.out, self.data, self.policy, self.scorer)
        if not 1 <= self.k <= self.n:
            raise ConfigError(f"k is from 1 to n, the samples of a prompt; got k = {self.k} of n = {self.n}")


def check_policy_training(config: TrainingConfig) -> None:
    """Refuse settings of reward models, which policies do not use.

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


@dataclass(frozen=True)
class TrainPpo(PolicyTraining):
    """Optimise a policy against any scorer with PPO and a KL penalty; PPO-max is one of its recipes."""

    policy: str
    """Model folder or Hub id of the causal language model to start from, fine-tuned before."""
    data: str
    """File, folder or Hub name with a prompt column."""
    scorer: str
    """Reward: any scorer. Step, span and aspect scores are assigned to the tokens where these end."""
    out: str
    """Folder for the trained policy."""
    reference: str = ""
    """Reference policy of the KL: model folder or Hub id; empty is the starting policy."""
    credit: Literal["auto", "response", "parts"] = "auto"
    """Assign the score to the last token, or its spans or steps to where they end; auto uses parts if any."""
    separator: str = "\n"
    """Separator that ends a step, where the scorer scores steps."""
    critic: str = "policy"
    """Initialisation of the critic: policy, scorer (a reward model's folder), a folder or Hub id; or shared,
    a value head on the policy itself, which halves the compute and memory of an update."""
    ptx_data: str = ""
    """Rows {prompt, response}, or {text}, of the PPO-ptx language-modelling loss."""
    ppo: PpoConfig = field(default_factory=PpoConfig)
    """Hyperparameters of PPO."""
    tensorboard: bool = True
    """Write TensorBoard curves beside metrics.jsonl."""

    def __post_init__(self) -> None:
        super().__post_init__()
        critic = "" if self.critic in ("policy", "scorer", "shared") else self.critic
        files = (self.ptx_data, self.probe.data)
        refuse_own_input(self.out, self.data, self.policy, self.reference, self.scorer, critic, *files)
        if self.ppo.kl_in == "loss" and self.ppo.kl_kind == "k1":
            raise ConfigError(
                "ppo.kl_kind k1 in the loss pulls nowhere, as its gradient is 0 on average; k2 has the KL's"
            )
        mixes = resolve_recipe(self.ppo).ptx_coefficient
        if self.ptx_data and not mixes:
            raise ConfigError(
                "ptx_data is given, and ppo.ptx_coefficient 0 leaves it out; give a weight as well"
            )
        if mixes and not self.ptx_data:
            raise ConfigError(
                f"ppo.recipe {self.ppo.recipe} mixes in a language-modelling loss on --ptx_data, and none "
                "is given; --ppo.ptx_coefficient 0 leaves it out"
            )
