"""`evalkit train ppo`: optimises a policy against a scorer with a KL penalty to its reference."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Literal, cast

from evalkit.policies.language_model import LanguageModel
from evalkit.policies.loading import load_trainable
from evalkit.policies.ppo.checkpoint import CHECKPOINTS
from evalkit.policies.ppo.config import CHANGEABLE
from evalkit.policies.ppo.critic import Critic, critic_name, load_critic
from evalkit.policies.ppo.fit import PpoFit, PpoOptions, fit_ppo, split_prompts
from evalkit.policies.probe.prompts import PromptRecord, read_prompts
from evalkit.policies.reference import REFERENCE_FILE, Reference, load_reference
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.runs import fingerprint, say, spec_fingerprint, warn, write_json
from evalkit.runs import run as run_in_folder
from evalkit.training.policy_config import TrainPpo
from evalkit.training.policy_figures import draw_policy_run
from evalkit.training.run import RESULT
from rewards.errors import DataError
from rewards.files import read_rows
from rewards.records import Generation, Prompt
from rewards.scorer import load_scorer

NEUTRAL = tuple(f"ppo.{name}" for name in CHANGEABLE)


def run(config: TrainPpo) -> None:
    """Train in a run's folder, resuming after a kill, and print the policy's folder.

    Raises:
        EvalkitError: The data, the models or the settings cannot be used, the scorer fails on a response, or
            the run went wrong; what was done is kept.
    """
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
    with run_in_folder(config, inputs, done=RESULT, neutral=NEUTRAL, preliminary=(REFERENCE_FILE,)) as folder:
        result = _fit(config, folder)
        draw_policy_run(folder)
        write_json(folder / RESULT, asdict(result))
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _report(result, config)


def _fit(config: TrainPpo, folder: Path) -> PpoFit:
    prompts, held_out = _prompts(config)
    model, encoder = load_trainable(config.policy, eos=False)
    options = PpoOptions(
        scorer_name=config.scorer,
        credit=config.credit,
        separator=config.separator,
        reference=_reference(config, model, encoder),
        critic=_critic(config, model, encoder),
        ptx=_ptx_texts(config),
        probe=config.probe,
        tensorboard=config.tensorboard,
        keep_checkpoints=True,
        say=say,
        warn=lambda text: warn(f"Warning: {text}"),
    )
    scorer = load_scorer(config.scorer)
    return fit_ppo(model, encoder, prompts, held_out, config.ppo, folder, scorer=scorer, options=options)


def _prompts(config: TrainPpo) -> tuple[list[PromptRecord], list[PromptRecord]]:
    """Return the prompts to sample for, and those held out for the probe where it has none of its own."""
    records = read_prompts(config.data, config.rename, config.limit)
    train, held_out = split_prompts(records, None, config.probe, config.ppo.seed)
    if not held_out and not config.probe.data and (config.probe.gold or config.probe.patience):
        raise DataError(
            f"{config.data}: has {len({one.prompt for one in records})} prompts, of which none can be held "
            "out for the probe; --probe.data names a file of them"
        )
    return train, held_out


def _reference(config: TrainPpo, model: LanguageModel, encoder: ResponseEncoder) -> Reference | None:
    if not config.reference:
        return None
    return load_reference(config.reference, encoder.tokenizer, model.device)


def _critic(
    config: TrainPpo, model: LanguageModel, encoder: ResponseEncoder
) -> Critic | Literal["policy", "shared"]:
    if config.critic == "policy":
        return "policy"
    if config.critic == "shared":
        return "shared"
    name = critic_name(config.critic, config.policy, config.scorer)
    return load_critic(name, name, encoder.tokenizer, model.device, config.ppo.seed)


def _ptx_texts(config: TrainPpo) -> list[Generation]:
    """Return the texts of the PPO-ptx loss: a response given its prompt, or a whole text.

    Raises:
        DataError: A row has neither, or there are no rows.
    """
    if not config.ptx_data:
        return []
    texts = []
    for row in read_rows(config.ptx_data):
        if "text" in row.values:
            prompt, response = cast(Prompt, ""), row.texts("text", [row.values["text"]])[0]
        else:
            prompt, response = row.answer("response")
        texts.append(Generation(prompt, response, id=row.where))
    if not texts:
        raise DataError(f"{config.ptx_data}: has no texts")
    return texts


def _report(result: PpoFit, config: TrainPpo) -> None:
    last = result.last
    name = "probe_" if "probe_proxy" in last else "rollout_"
    figures = [
        f"{label} {last[name + key]:.3g}"
        + (f" ± {last[name + key + '_se']:.2g}" if name + key + "_se" in last else "")
        for key, label in (("proxy", "reward"), ("gold", "gold"), ("kl", "KL"), ("length", "length"))
        if name + key in last
    ]
    where = "held-out prompts" if name == "probe_" else "the last round's prompts"
    early = ", stopped early" if result.stopped_early else ""
    say(
        f"{result.rounds} round{'s' if result.rounds > 1 else ''}{early}, "
        f"{result.episodes} responses, {result.updates} updates"
    )
    say(f"On {where} (± a standard error): {', '.join(figures)}")
    say(f"The policy is in {config.out}, its panel in {config.out}/panel.png")
