"""`evalkit train ppo`: prompts and a scorer in, a policy that the scorer likes and its reference knows."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console

from evalkit.policies.checkpoint import load_causal, save_policy, weights_hash
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel, twin
from evalkit.policies.ppo.checkpoint import CHECKPOINTS, PpoState, load_state, save_state
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.policies.ppo.critic import Critic, critic_name, load_critic
from evalkit.policies.ppo.learner import Learner, Texts
from evalkit.policies.ppo.rollout import Experience
from evalkit.policies.ppo.rounds import Ppo, schedule_of
from evalkit.policies.ppo.shared_critic import SharedCritic
from evalkit.policies.ppo.token_credit import TokenCredit
from evalkit.policies.probe.probe import make_probe
from evalkit.policies.probe.prompts import Asked, WithEmpty, read_prompts
from evalkit.policies.reference import BaseReference, Reference, load_reference, record_reference
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.runs.files import atomic_write, fingerprint, json_text, spec_fingerprint
from evalkit.runs.folder import forget_run, run_folder
from evalkit.runs.locks import locked_folder
from evalkit.training.policy_config import TrainPpo
from evalkit.training.policy_figure import draw_policy_run
from evalkit.training.ppo_log import PpoLog
from evalkit.training.run import RESULT, to_device
from rewards.errors import ConfigError, DataError, EvalkitError, ModelError, ScoringError, TrainingError
from rewards.files import read_rows
from rewards.models.checkpoint import save
from rewards.models.head import prepare_for_packing
from rewards.models.sidecar import Sidecar, tokenizer_hash
from rewards.records import Generation
from rewards.scorer import StepScorer, load_scorer
from rewards.scorers.loading import context_length
from rewards.training.fitting import add_adapters, remove_dropout

CRITIC = "critic"
"""Folder of the critic in that of the policy; `--critic` goes on from it."""
NEUTRAL = tuple(
    f"ppo.{name}"
    for name in (
        "kl_limit",
        "learning_rate",
        "critic_learning_rate",
        "max_gradient_norm",
        "reward_clip",
        "empty_reward",
        "unfinished_reward",
    )
)
"""Settings that a run may go on with changed: else what stopped it would stop it again."""


def run(config: TrainPpo) -> None:
    """Train in a run's folder, which a killed command is found again by, and say where the policy is.

    Raises:
        EvalkitError: The data, the models or the settings cannot be used, the scorer fails on a response, or
            the run went wrong; what was done is kept.
    """
    console = Console()
    inputs = {
        "data": fingerprint(config.data),
        "ptx_data": fingerprint(config.ptx_data),
        "policy": spec_fingerprint(config.policy),
        "reference": spec_fingerprint(config.reference),
        "scorer": spec_fingerprint(config.scorer),
        "critic": spec_fingerprint(config.critic),
        "probe": fingerprint(config.probe.data),
        "probe scorers": [spec_fingerprint(spec) for spec in (config.probe.scorer, config.probe.gold)],
    }
    folder = run_folder(config.out, config, config.overwrite, RESULT, inputs, neutral=NEUTRAL)
    with locked_folder(folder):
        try:
            parts = _prepare(config, folder)
        except EvalkitError:
            forget_run(folder)
            raise
        result = _train(folder, parts, console)
        draw_policy_run(folder)
        with atomic_write(folder / RESULT) as file:
            file.write(json_text(result))
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _report(result, config, console)


@dataclass(frozen=True)
class Prepared:
    """What a run consists of, loaded and checked.

    Attributes:
        ppo: The run.
        tokenizer: The policy's.
        about: What the policy's folder will say of itself.
        held_out: Prompts that were held out of the data for the probe.
        log: Where metrics go.
    """

    ppo: Ppo
    tokenizer: Any
    about: Mapping[str, object]
    held_out: int
    log: PpoLog


def _prepare(config: TrainPpo, folder: Path) -> Prepared:
    chosen = resolve_recipe(config.ppo)
    asked, held_out = _prompts(config)
    model, tokenizer = load_causal(config.policy, config.policy)
    start = weights_hash(model)
    base: Any = to_device(model)
    policy, reference = _policy_and_reference(config, base, tokenizer, start)
    packs = prepare_for_packing(policy)
    if isinstance(reference, BaseReference):
        reference = replace(reference, packs=packs)
    sampler = LocalPolicy(twin(policy.inner), tokenizer, config.policy)
    sampler.check([one.prompt for one in asked], [one.where for one in asked])
    scorer = load_scorer(config.scorer)
    if isinstance(scorer, StepScorer) and chosen.empty_reward is None:
        raise ConfigError(
            f"{config.scorer} scores steps, of which an empty response has none; give it a reward of its own "
            "by --ppo.empty_reward"
        )
    critic = _critic(config, policy, packs, tokenizer)
    for part in (policy, critic.model):
        remove_dropout(part)  # else old and new policy would differ before anything was learnt
    schedule = schedule_of(chosen, config.probe.every)
    updates = (schedule.rounds - schedule.pretraining) * schedule.updates_a_round
    learner = Learner(policy, packs, critic, chosen, updates)
    credit = TokenCredit(scorer, config.credit, config.separator, sampler.texts, config.scorer)
    about: dict[str, object] = {
        "method": "ppo",
        "policy": {"name": config.policy, "hash": start},
        "reference": {"name": reference.name, "hash": reference.hash},
        "scorer": config.scorer,
        "ppo": asdict(chosen),
    }
    looks = replace(config.probe, max_new_tokens=config.probe.max_new_tokens or chosen.max_new_tokens)
    proxy = WithEmpty(scorer, chosen.empty_reward) if chosen.empty_reward is not None else scorer
    loaded = {} if config.probe.scorer else {"proxy": (config.scorer, proxy)}
    probe = make_probe(looks, held_out, tokenizer, reference, folder, about, loaded)
    log = PpoLog(folder, config.tensorboard)
    experience = Experience(sampler, policy, packs, reference, critic, scorer, config.scorer, credit, chosen)
    texts = _texts(config, chosen, model, tokenizer)
    record_reference(folder, reference)  # last, so that a mistake above leaves no folder behind
    ppo = Ppo(learner, experience, asked, texts, chosen, schedule, probe, log.write, log.warn)
    return Prepared(ppo, tokenizer, about, len(held_out), log)


def _prompts(config: TrainPpo) -> tuple[list[Asked], list[Asked]]:
    """Return the prompts to sample for, and those held out for the probe where it has none of its own."""
    asked = read_prompts(config.data, config.rename, config.limit)
    if config.probe.data:
        return asked, []
    texts = list(dict.fromkeys(one.prompt for one in asked))
    number = min(config.probe.prompts, len(texts) // 10)
    if not number and (config.probe.gold or config.probe.patience):
        raise DataError(
            f"{config.data}: has {len(texts)} prompts, of which none can be held out for the probe; "
            "--probe.data names a file of them"
        )
    order = np.random.default_rng([config.ppo.seed, len(texts)]).permutation(len(texts))
    chosen = {texts[place] for place in order[:number]}
    first = {one.prompt: one for one in reversed(asked)}
    return [one for one in asked if one.prompt not in chosen], [first[one] for one in texts if one in chosen]


def _policy_and_reference(
    config: TrainPpo,
    base: Any,  # noqa: ANN401  # Transformers' own
    tokenizer: Any,  # noqa: ANN401  # as above
    start: str,
) -> tuple[LanguageModel, Reference]:
    lora = config.ppo.lora
    if lora.rank:
        adapted = cast(Any, add_adapters(base, lora, config.ppo.seed, "", LanguageModel.adapter_task))
        policy = LanguageModel(adapted)
        if not config.reference:
            return policy, BaseReference(config.policy, start, policy, packs=False)
    else:
        policy = LanguageModel(base)
    return policy, load_reference(config.reference or config.policy, tokenizer, policy.device)


def _texts(config: TrainPpo, chosen: PpoConfig, model: Any, tokenizer: Any) -> Texts:  # noqa: ANN401  # as above
    """Return the rows of the mixed-in loss: a response given its prompt, or a whole text.

    Raises:
        DataError: A row has neither, or is longer than the context.
    """
    if not config.ptx_data or not chosen.ptx_coefficient:
        return Texts([], [])
    encoder = ResponseEncoder(tokenizer, context_length(model.config, tokenizer))
    rows, starts = [], []
    for row in read_rows(config.ptx_data):
        if "text" in row.values:
            generation = Generation("", row.texts("text", [row.values["text"]])[0])
        else:
            generation = Generation(*row.answer("response"))
        (one,) = encoder.encode([generation.prompt], [generation.response], [False])
        if len(one.tokens) > encoder.max_length:
            raise DataError(
                f"{row.where}: has {len(one.tokens)} tokens and the model takes {encoder.max_length}"
            )
        rows.append(list(one.tokens))
        starts.append(max(1, one.start))
    if not rows:
        raise DataError(f"{config.ptx_data}: has no texts")
    return Texts(rows, starts)


def _train(folder: Path, parts: Prepared, console: Console) -> dict[str, object]:
    ppo, learner = parts.ppo, parts.ppo.learner
    begun = load_state(folder, learner) or PpoState(coefficient=ppo.config.kl_coefficient)
    state = begun
    parts.log.begin(state.round, ppo.schedule.rounds)
    if state.round:
        console.print(f"Going on after round {state.round} of {ppo.schedule.rounds}", highlight=False)
    kept = state.round
    try:
        for state, keep in ppo.rounds(begun, parts.log.lines()):
            if keep:
                save_state(folder, state, learner)
                kept = state.round
    except (TrainingError, ScoringError, DataError, ModelError) as error:
        where = f"round {kept}" if kept else "its start"
        raise type(error)(f"{error}; {folder} is kept as of {where}") from None
    finally:
        parts.log.close()
    save_policy(learner.policy.classifier, parts.tokenizer, folder, {**parts.about, "updates": learner.done})
    _save_critic(learner.critic, folder / CRITIC)
    last = parts.log.lines()[-1]
    return {
        "rounds": state.round,
        "critic_rounds": ppo.schedule.pretraining,
        "updates": learner.done,
        "episodes": last["episodes"],
        "prompts": len(ppo.asked),
        "held_out_prompts": parts.held_out,
        "stopped_early": state.round < ppo.schedule.rounds,
        "kl_coefficient": state.coefficient,
        "last": {name: value for name, value in last.items() if name.startswith(("rollout_", "probe_"))},
    }


def _critic(config: TrainPpo, policy: LanguageModel, packs: bool, tokenizer: Any) -> Critic:  # noqa: ANN401  # as above
    if config.critic == "shared":
        length = context_length(policy.inner.config, tokenizer)
        return SharedCritic(policy, packs, config.policy, length, tokenizer)
    name = critic_name(config.critic, config.policy, config.scorer)
    return load_critic(name, name, tokenizer, policy.device, config.ppo.seed)


def _save_critic(critic: Critic, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    model = critic.classifier() if isinstance(critic, SharedCritic) else critic.model
    about = Sidecar(append_eos=False, tokenizer_hash=tokenizer_hash(critic.tokenizer), scale=critic.scale)
    save(model, critic.tokenizer, folder, about)


def _report(result: Mapping[str, Any], config: TrainPpo, console: Console) -> None:
    last = result["last"]
    name = "probe_" if "probe_proxy" in last else "rollout_"
    told = [
        f"{label} {last[name + key]:.3g}"
        + (f" ± {last[name + key + '_se']:.2g}" if name + key + "_se" in last else "")
        for key, label in (("proxy", "reward"), ("gold", "gold"), ("kl", "KL"), ("length", "length"))
        if name + key in last
    ]
    where = "held-out prompts" if name == "probe_" else "the last round's prompts"
    early = ", stopped early" if result["stopped_early"] else ""
    console.print(
        f"{result['rounds']} round{'s' if result['rounds'] > 1 else ''}{early}, "
        f"{result['episodes']} responses, {result['updates']} updates",
        highlight=False,
    )
    console.print(f"On {where} (± a standard error): {', '.join(told)}", highlight=False, soft_wrap=True)
    console.print(f"The policy is in {config.out}, its panel in {config.out}/panel.png", soft_wrap=True)
