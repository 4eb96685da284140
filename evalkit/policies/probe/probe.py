"""A probe: scored samples on held-out prompts while a policy trains, the best weights kept, and a stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from evalkit.policies.checkpoint import replace_policy
from evalkit.policies.config import ProbeConfig
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.language_model import LanguageModel, row_statistics, twin
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.probe.collapse import signs_of_collapse
from evalkit.policies.probe.panel import SampledResponse, panel
from evalkit.policies.probe.probe_file import ProbeFile
from evalkit.policies.probe.prompts import PromptRecord, read_prompts, scores_of
from evalkit.policies.reference import Reference
from evalkit.runs.terminal import warn
from rewards.files import to_row
from rewards.models.attention import NAME
from rewards.models.head import HeadedModel, can_pack
from rewards.records import Generation, Score
from rewards.scorer import Scorer, load_scorer

PROBES, SAMPLES, BEST = "probe.jsonl", "probe_samples.jsonl", "best"
"""In the run's folder: a line for each probe, a few of its responses, and the weights of the best reward."""
PREFIX = "probe_"
"""Before each name of the panel, among a run's other metrics."""
MOST_TOKENS = 256
"""In a response where neither the probe nor the command says."""
SHOWN = 8
"""Prompts of a probe whose first response is kept to be read."""


@dataclass
class _Training:
    """A model in training with the objects that sample and evaluate it over the same weights."""

    model: HeadedModel
    reader: LanguageModel
    policy: LocalPolicy
    packs: bool


@dataclass
class PolicyProbe:
    """A probe on held-out prompts while a policy trains: `rewards.training.trainer.Probe`.

    Each probe samples responses to the same prompts with the same random numbers, so that probes differ by
    the policy alone, and leaves the run's own random state unchanged. A probe is written to `probe.jsonl`
    when it is complete; a resumed run reads its earlier probes there.

    Raises:
        DataError: A prompt is empty or leaves no room in the context; the message begins with its place.
    """

    config: ProbeConfig
    prompts: Sequence[PromptRecord]
    """Held-out prompts."""
    tokenizer: Any
    """The policy's."""
    reference: Reference
    """The reference policy of KL and perplexity."""
    scorers: Mapping[str, tuple[str, Scorer]]
    """Specification and scorer of `proxy` and `gold`, or of one of them, or none."""
    folder: Path
    """The run's."""
    about: Mapping[str, object]
    """Contents of `policy.json` of the best weights, beside the step and value."""
    _probes: ProbeFile = field(init=False)
    _samples: ProbeFile = field(init=False)
    _tokens: list[list[int]] = field(init=False)
    _training: _Training | None = field(init=False, default=None)
    _step: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        # The reference of adapters is the policy itself, which may be in training.
        inner = self.reference.model.inner
        training = inner.training
        self._check(LocalPolicy(inner, self.tokenizer, self.reference.name))
        inner.train(training)
        texts = TextCodec(self.tokenizer, self.reference.name, frozenset())
        self._tokens = [texts.encode(asked.prompt) for asked in self.prompts]
        self._probes = ProbeFile(self.folder / PROBES)
        self._samples = ProbeFile(self.folder / SAMPLES)
        self._samples.keep(line["step"] for line in self._probes.lines)

    @property
    def every(self) -> int:
        """Updates between probes; 0 makes ten in the run."""
        return self.config.every

    @property
    def judged_by(self) -> str:
        """The reward that chooses the best weights: gold, else proxy; empty where there is neither."""
        return next((name for name in ("gold", "proxy") if name in self.scorers), "")

    @property
    def stops(self) -> bool:
        """Whether `patience` probes have passed, up to the last one, without a higher reward."""
        values = [value for step, value in self._values() if step <= self._step]
        since = len(values) - 1 - values.index(max(values)) if values else 0
        return 0 < self.config.patience <= since

    def resume(self, step: int) -> None:
        """Resume a run after `step` updates, with the probes up to there."""
        self._step = max(self._step, step)

    def measure(self, model: HeadedModel, step: int) -> Mapping[str, float]:
        """Return the panel after `step` updates, its names prefixed; a repeated step returns its first panel.

        Raises:
            ScoringError: A scorer has no finite reward for a response.
            ModelError: Log-probabilities are NaN: the weights have diverged.
        """
        self._step = max(self._step, step)
        seen = next((line for line in self._probes.lines if line["step"] == step), None)
        if seen is None:
            seen = self._measure(model, step)
        return {name: value for name, value in seen.items() if name.startswith(PREFIX)}

    def _measure(self, model: HeadedModel, step: int) -> dict[str, Any]:
        was_training = model.training
        try:
            generations, samples = self._sample(self._reading(model))
        finally:
            model.train(was_training)
        scores = {name: scores_of(scorer, generations, spec) for name, (spec, scorer) in self.scorers.items()}
        rewards = {name: [score.value for score in values] for name, values in scores.items()}
        own = np.repeat(np.arange(len(self.prompts)), self.config.samples).tolist()
        metrics = panel(samples, rewards, own) | _aspect_means(scores)
        history = [_panel_of(line) for line in self._probes.lines] + [{"step": float(step), **metrics}]
        warnings = signs_of_collapse(history)
        self._tell(warnings)
        # The best weights are there before the line that names their reward: a kill between repeats both.
        self._keep_if_best(model, step, metrics)
        self._samples.append(self._shown(generations, rewards, step))
        prefixed = {PREFIX + name: value for name, value in metrics.items()}
        self._probes.append([{"step": step, **prefixed, "warnings": warnings}])
        return self._probes.lines[-1]

    def _reading(self, model: HeadedModel) -> _Training:
        """Return a model's sampling and evaluation objects, made once: they share its weights."""
        if self._training is None or self._training.model is not model:
            # A reader of our own has no mixed precision wrapped about it, as the reference has none.
            reader = LanguageModel(model.classifier)
            policy = LocalPolicy(twin(model.inner), self.tokenizer, "the policy in training")
            self._check(policy)
            packs = model.inner.config._attn_implementation == NAME
            self._training = _Training(model, reader, policy, packs)
        return self._training

    def _check(self, policy: LocalPolicy) -> None:
        policy.check([record.prompt for record in self.prompts], [record.where for record in self.prompts])

    def _sample(self, training: _Training) -> tuple[list[Generation], list[SampledResponse]]:
        """Return sampled responses with policy and reference log-probabilities, grouped by prompt."""
        settings = SamplingConfig(
            temperature=self.config.temperature,
            max_new_tokens=self.config.max_new_tokens or MOST_TOKENS,
            seed=self.config.seed,
            log_probs=True,
        )
        drawn = training.policy.generate(
            [record.prompt for record in self.prompts], self.config.samples, settings
        )
        written: list[Any] = [generation for own in drawn for generation in own]
        tokens = [tuple(map(int, generation.extra["tokens"])) for generation in written]
        begun = [own for own in self._tokens for _ in range(self.config.samples)]
        rows = [[*prompt, *response] for prompt, response in zip(begun, tokens, strict=True)]
        starts = [len(prompt) for prompt in begun]
        training.reader.eval()
        packed = training.packs and can_pack(training.reader.inner.config, max(map(len, rows)))
        own = row_statistics(training.reader, rows, starts, packed, entropies=True)
        others = self.reference.log_probs(rows, starts)
        samples = [
            SampledResponse(
                response,
                mine.log_probs.double().numpy(),
                other.double().numpy(),
                mine.entropies.double().numpy(),
                generation.extra["finish_reason"] != "length",
            )
            for response, mine, other, generation in zip(tokens, own, others, written, strict=True)
        ]
        records = [record for record in self.prompts for _ in range(self.config.samples)]
        answers = [
            record.generation(response.response) for record, response in zip(records, written, strict=True)
        ]
        return answers, samples

    def _values(self) -> list[tuple[int, float]]:
        """Return step and reward of each probe so far."""
        name = PREFIX + self.judged_by
        return [(line["step"], line[name]) for line in self._probes.lines if name in line]

    def _keep_if_best(self, model: HeadedModel, step: int, metrics: Mapping[str, float]) -> None:
        name = self.judged_by
        if not name or any(value >= metrics[name] for _, value in self._values()):
            return
        facts = {"step": step, "value": metrics[name], "value_of": name, "scorer": self.scorers[name][0]}
        about = {**self.about, **facts}
        replace_policy(model.classifier, self.tokenizer, self.folder / BEST, about)

    def _tell(self, warnings: Sequence[str]) -> None:
        """Print the signs of collapse that no earlier probe had."""
        known = {_sign(text) for line in self._probes.lines for text in line["warnings"]}
        for text in warnings:
            if _sign(text) not in known:
                warn(f"Warning: {text}")

    def _shown(
        self, generations: Sequence[Generation], rewards: Mapping[str, Sequence[float]], step: int
    ) -> list[dict[str, Any]]:
        rows = []
        for place in range(0, len(generations), self.config.samples)[:SHOWN]:
            row = to_row(generations[place])
            own = {name: values[place] for name, values in rewards.items()}
            rows.append({"step": step, "prompt": row["prompt"], "response": row["response"], **own})
        return rows


def make_probe(
    config: ProbeConfig,
    prompts: Sequence[PromptRecord] | None,
    tokenizer: Any,  # noqa: ANN401  # no public base type for both backends
    reference: Reference,
    folder: Path,
    about: Mapping[str, object],
    loaded: Mapping[str, tuple[str, Scorer]] = MappingProxyType({}),
) -> PolicyProbe | None:
    """Return the probe that a configuration asks for; None where it names no prompts.

    Args:
        config: The settings.
        prompts: Held-out prompts where `config.data` names none, of which the first are taken.
        tokenizer: The policy's.
        reference: The reference policy of the KL.
        folder: The run's.
        about: Contents of `policy.json` of the best weights.
        loaded: Specification and scorer of `proxy` or `gold` where the configuration names none.

    Raises:
        DataError: The data has no prompts, or one that does not fit the context.
        SpecError: A scorer's specification names none.
    """
    if config.data:
        prompts = read_prompts(config.data, {}, config.prompts)
    if not prompts:
        return None
    specs = {"proxy": config.scorer, "gold": config.gold}
    scorers = {**loaded, **{name: (spec, load_scorer(spec)) for name, spec in specs.items() if spec}}
    return PolicyProbe(config, prompts[: config.prompts], tokenizer, reference, scorers, folder, about)


def _aspect_means(scores: Mapping[str, Sequence[Score]]) -> dict[str, float]:
    """Return the mean of each aspect that all scores of a scorer have, by `NAME/ASPECT`."""
    return {
        f"{name}/{aspect}": float(np.mean([score.aspects[aspect] for score in own]))
        for name, own in scores.items()
        for aspect in own[0].aspects
        if all(aspect in score.aspects for score in own)
    }


def _panel_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Return a probe's panel, unprefixed, with its step."""
    metrics = {name.removeprefix(PREFIX): line[name] for name in line if name.startswith(PREFIX)}
    return {"step": float(line["step"]), **metrics}


def _sign(text: str) -> str:
    """Return the sign of collapse in a text, without its numbers."""
    return text.partition(":")[0]
