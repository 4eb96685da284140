"""Trains a policy by PPO from prompts and a scorer, saves its folder, and resumes killed runs."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, cast

from transformers import PreTrainedModel

from evalkit.policies.checkpoint import refuse_finished, save_policy
from evalkit.policies.config import ProbeConfig
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel, twin
from evalkit.policies.ppo.checkpoint import CHECKPOINTS, PpoState, load_state, save_state
from evalkit.policies.ppo.config import CHANGEABLE, PpoConfig, resolve_recipe
from evalkit.policies.ppo.critic import Critic, has_classifier, save_critic, start_critic
from evalkit.policies.ppo.learner import Learner, PtxRows
from evalkit.policies.ppo.rounds import Ppo, schedule_of
from evalkit.policies.ppo.shared_critic import SharedCritic
from evalkit.policies.probe.probe import make_probe
from evalkit.policies.probe.prompts import PromptRecord, WithEmpty, as_records, hold_out_prompts
from evalkit.policies.reference import BaseReference, Reference, frozen_copy, record_reference
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.policies.rollout.rollout import RolloutSampler, RolloutSettings
from evalkit.policies.rollout.round_log import RoundLog
from evalkit.policies.rollout.token_credit import Credit, TokenCredit
from rewards.errors import ConfigError, DataError, ModelError, ScoringError, TrainingError
from rewards.models.checkpoint import weights_hash
from rewards.models.head import prepare_for_packing
from rewards.records import Generation, Prompt
from rewards.scorer import Scorer, StepScorer
from rewards.training.fitting import add_adapters, remove_dropout
from rewards.training.resuming import arguments_hash
from rewards.training.trainer import Probe

LOG = logging.getLogger(__name__)
CRITIC = "critic"
"""Folder of the critic in that of the policy; another run's critic goes on from it."""


@dataclass(frozen=True)
class PpoOptions:
    """Optional inputs of PPO.

    Attributes:
        scorer_name: The scorer's name in error messages and `policy.json`.
        credit: Which tokens a score is assigned to.
        separator: What ends a step, where the scorer scores steps and names no separator of its own.
        reference: The reference policy; None takes the policy before training.
        critic: A head on a copy of the policy's body, on the policy's own body (`shared`), or a critic that
            was loaded. A shared one is not saved where Transformers has no sequence classifier for it.
        ptx: Texts of the mixed-in language-modelling loss, each a response to its prompt or, where that is
            empty, a whole text; errors call them by their ids.
        probe: The probe on held-out prompts, or its settings.
        tensorboard: Whether curves are written for TensorBoard beside `metrics.jsonl`.
        keep_checkpoints: Whether the checkpoints stay at the end. The same call then resumes the last one
            and trains no more, until the caller has recorded the run as finished and removes them.
        say: Takes the message that a killed run is resumed; logged by default.
        warn: Takes signs of collapse and of a constant reward; logged by default.
    """

    scorer_name: str = "scorer"
    credit: Credit = "auto"
    separator: str = "\n"
    reference: Reference | None = None
    critic: Critic | Literal["policy", "shared"] = "policy"
    ptx: Sequence[Generation] = ()
    probe: ProbeConfig | Probe = field(default_factory=ProbeConfig)
    tensorboard: bool = False
    keep_checkpoints: bool = False
    say: Callable[[str], None] = LOG.info
    warn: Callable[[str], None] = LOG.warning


DEFAULT_OPTIONS = PpoOptions()


@dataclass(frozen=True)
class PpoFit:
    """Results of a PPO run.

    Attributes:
        rounds: Rounds done, those of the critic alone included.
        critic_rounds: Rounds of the critic alone.
        updates: Updates of the policy.
        episodes: Responses that the policy trained on.
        prompts: Prompts trained on.
        held_out_prompts: Prompts held out for the probe.
        stopped_early: Whether the probe's patience ended the run.
        kl_coefficient: Weight of the KL penalty at the end.
        last: The panel of the last rollout and of the last probe.
    """

    rounds: int
    critic_rounds: int
    updates: int
    episodes: int
    prompts: int
    held_out_prompts: int
    stopped_early: bool
    kl_coefficient: float
    last: Mapping[str, float]


def fit_ppo(
    model: LanguageModel,
    encoder: ResponseEncoder,
    train: Sequence[Prompt | PromptRecord],
    held_out: Sequence[Prompt | PromptRecord] | None,
    config: PpoConfig,
    out: str | Path,
    *,
    scorer: Scorer,
    options: PpoOptions = DEFAULT_OPTIONS,
) -> PpoFit:
    """Optimise a policy by PPO, resuming where an earlier call with the same arguments was killed.

    Args:
        model: The policy; its weights change.
        encoder: Text to tokens.
        train: Prompts to sample for.
        held_out: Prompts of the probe; None holds a tenth out of `train`, none given probes nothing.
        config: The hyperparameters.
        out: Folder that receives the policy, `policy.json` last but for the critic, and checkpoints until
            then.
        scorer: Scorer of the rewards.
        options: Optional inputs.

    Raises:
        ConfigError: Settings that contradict each other or the scorer.
        DataError: A prompt or a text cannot be used; the message names it.
        ScoringError: The scorer fails on a response.
        TrainingError: KL passes its limit, or an update has no finite result; what was done is kept.
        OutputExistsError: The folder holds a finished policy, or checkpoints of a call with other arguments.
    """
    out = Path(out)
    if not options.keep_checkpoints:
        refuse_finished(out, out / CHECKPOINTS)
    settings, name, tokenizer = resolve_recipe(config), options.scorer_name, encoder.tokenizer
    _check_empty_reward(scorer, settings, name)
    prompts, beside = split_prompts(train, held_out, options.probe, settings.seed)
    start = {"name": model.name, "hash": weights_hash(model.inner)}
    arguments = _arguments(settings, prompts, start, options)
    critic: Critic | str = options.critic
    if critic == "policy":  # before adapters are put into the body
        critic = start_critic(model, tokenizer, encoder.max_length)
    policy, packs, reference = _policy_and_reference(model, settings, options.reference, start)
    sampler = LocalPolicy(twin(policy.inner), tokenizer, model.name or "the policy")
    sampler.check([one.prompt for one in prompts], [one.where for one in prompts])
    if isinstance(critic, str):
        critic = SharedCritic(policy, packs, model.name, encoder.max_length, tokenizer)
    for part in (policy, critic.model):
        remove_dropout(part)  # else old and new policy would differ before anything was learnt
    schedule = schedule_of(settings, options.probe.every)
    updates = (schedule.rounds - schedule.pretraining) * schedule.updates_a_round
    learner = Learner(policy, packs, critic, settings, updates)
    credit = TokenCredit(scorer, options.credit, options.separator, sampler.texts, name)
    rollouts = RolloutSampler(sampler, policy, packs, reference, scorer, credit, _rollout_settings(settings))
    about = _about(settings, start, reference, name)
    probe: ProbeConfig | Probe | None = options.probe
    if isinstance(probe, ProbeConfig):
        settled, loaded = _probe_settings(probe, settings, name, scorer)
        probe = make_probe(settled, beside, tokenizer, reference, out, about, loaded)
    ptx = _ptx_rows(options.ptx, settings, encoder)
    record_reference(out, reference)  # last, so that a mistake above leaves no folder behind
    log = RoundLog(out, options.tensorboard)
    ppo = Ppo(learner, rollouts, prompts, ptx, schedule, probe, log.write, options.warn)
    state = _train(ppo, log, out, arguments, options.say)
    save_policy(policy.classifier, tokenizer, out, {**about, "updates": learner.done})
    if has_classifier(model.inner):
        save_critic(critic, out / CRITIC)
    if not options.keep_checkpoints:
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    last = log.lines()[-1]
    return PpoFit(
        rounds=state.round,
        critic_rounds=schedule.pretraining,
        updates=learner.done,
        episodes=last["episodes"],
        prompts=len(prompts),
        held_out_prompts=len(beside),
        stopped_early=state.round < schedule.rounds,
        kl_coefficient=state.coefficient,
        last={name: value for name, value in last.items() if name.startswith(("rollout_", "probe_"))},
    )


def _check_empty_reward(scorer: Scorer, settings: PpoConfig, name: str) -> None:
    if isinstance(scorer, StepScorer) and settings.empty_reward is None:
        raise ConfigError(
            f"{name} scores steps, of which an empty response has none; give it a reward of its own "
            "by --ppo.empty_reward"
        )


def split_prompts(
    train: Sequence[Prompt | PromptRecord],
    held_out: Sequence[Prompt | PromptRecord] | None,
    probe: ProbeConfig | Probe,
    seed: int,
) -> tuple[list[PromptRecord], list[PromptRecord]]:
    """Return the prompts to sample for, and those of the probe where it has none of its own.

    Args:
        train: Prompts to sample for.
        held_out: Prompts of the probe; None holds a tenth out of `train`.
        probe: The probe or its settings.
        seed: Seed of the split.

    Raises:
        DataError: There are no prompts.
    """
    records = as_records(train)
    if not records:
        raise DataError("nothing to train on: there are no prompts")
    if held_out is None and isinstance(probe, ProbeConfig) and not probe.data:
        return hold_out_prompts(records, probe.prompts, seed)
    return records, as_records(held_out or ())


def _arguments(
    settings: PpoConfig, prompts: Sequence[PromptRecord], start: Mapping[str, str], options: PpoOptions
) -> str:
    """Return a hash of what the run is begun with, but for the settings that may change."""
    lasting = {name: value for name, value in asdict(settings).items() if name not in CHANGEABLE}
    critic = options.critic if isinstance(options.critic, str) else weights_hash(options.critic.model)
    ptx = [(text.prompt, text.response) for text in options.ptx]
    return arguments_hash(
        lasting, prompts, start["hash"], critic, options.scorer_name, options.credit, options.separator, ptx
    )


def _about(
    settings: PpoConfig, start: Mapping[str, str], reference: Reference, scorer: str
) -> dict[str, object]:
    """Return the contents of `policy.json`, but for the updates."""
    return {
        "method": "ppo",
        "policy": start,
        "reference": {"name": reference.name, "hash": reference.hash},
        "scorer": scorer,
        "ppo": asdict(settings),
    }


def _probe_settings(
    probe: ProbeConfig, settings: PpoConfig, name: str, scorer: Scorer
) -> tuple[ProbeConfig, dict[str, tuple[str, Scorer]]]:
    """Return the probe's settings, and the reward's scorer as its proxy where they name none."""
    proxy = scorer if settings.empty_reward is None else WithEmpty(scorer, settings.empty_reward)
    settled = replace(probe, max_new_tokens=probe.max_new_tokens or settings.max_new_tokens)
    return settled, {} if probe.scorer else {"proxy": (name, proxy)}


def _policy_and_reference(
    model: LanguageModel, settings: PpoConfig, reference: Reference | None, start: Mapping[str, str]
) -> tuple[LanguageModel, bool, Reference]:
    """Return the policy with its adapters, whether its rows can be packed, and its reference."""
    if not settings.lora.rank:
        reference = reference or frozen_copy(model)
        return model, prepare_for_packing(model), reference
    adapted = add_adapters(model.inner, settings.lora, settings.seed, "", LanguageModel.adapter_task)
    policy = LanguageModel(cast(PreTrainedModel, adapted))
    packs = prepare_for_packing(policy)
    return policy, packs, reference or BaseReference(start["name"], start["hash"], policy, packs)


def _rollout_settings(settings: PpoConfig) -> RolloutSettings:
    return RolloutSettings(**{one.name: getattr(settings, one.name) for one in fields(RolloutSettings)})


def _ptx_rows(texts: Sequence[Generation], settings: PpoConfig, encoder: ResponseEncoder) -> PtxRows:
    """Return the rows of the mixed-in language-modelling loss.

    Raises:
        ConfigError: There are texts and no weight, or the other way round.
        DataError: A row is longer than the context.
    """
    if bool(texts) != bool(settings.ptx_coefficient):
        raise ConfigError(
            f"ppo.ptx_coefficient {settings.ptx_coefficient} weighs the language-modelling loss on "
            f"{len(texts)} texts; give both, or neither"
        )
    rows, starts = [], []
    encoded = encoder.encode(
        [one.prompt for one in texts], [one.response for one in texts], [False] * len(texts)
    )
    for number, (text, row) in enumerate(zip(texts, encoded, strict=True), 1):
        if len(row.tokens) > encoder.max_length:
            name = text.id or f"text {number}"
            raise DataError(f"{name}: has {len(row.tokens)} tokens and the model takes {encoder.max_length}")
        rows.append(list(row.tokens))
        starts.append(max(1, row.start))
    return PtxRows(rows, starts)


def _train(ppo: Ppo, log: RoundLog, folder: Path, arguments: str, say: Callable[[str], None]) -> PpoState:
    """Go on from the newest checkpoint, if there is one, to the last round, and return its state."""
    begun = load_state(folder, ppo.learner, arguments) or PpoState(coefficient=ppo.config.kl_coefficient)
    state, kept = begun, begun.round
    if state.round:
        say(f"Going on after round {state.round} of {ppo.schedule.rounds}")
    try:
        with log.open(state.round, ppo.schedule.rounds):
            for state, keep in ppo.rounds(begun, log.lines()):
                if keep:
                    save_state(folder, state, ppo.learner, arguments)
                    kept = state.round
    except (TrainingError, ScoringError, DataError, ModelError) as error:
        where = f"round {kept}" if kept else "its start"
        raise type(error)(f"{error}; {folder} is kept as of {where}") from None
    return state
