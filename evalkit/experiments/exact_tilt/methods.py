"""Ways to the tilted policy, through the code that the commands run: SFT, DPO, RSO's pairs, PPO."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from evalkit.experiments.exact_tilt.world import (
    ANSWERS,
    MAX_NEW_TOKENS,
    PROMPTS,
    Enumeration,
    Floats,
    TiltWorld,
    make_model,
    make_tokenizer,
    outcome_of,
    pairs_of_answers,
)
from evalkit.policies.checkpoint import load_causal, save_policy
from evalkit.policies.config import DpoConfig
from evalkit.policies.dpo import DpoObjective, PairExample, encode_pairs, fit_dpo
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.policies.ppo.fit import PpoOptions, fit_ppo
from evalkit.policies.reference import load_reference
from evalkit.policies.reference_log_probs import reference_log_probs
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.policies.sft import Demonstration, SftObjective, encode_demonstrations
from rewards.config import TrainingConfig
from rewards.models.head import HeadedModel
from rewards.records import Generation, Preference
from rewards.training.examples import TrainingSplit
from rewards.training.fitting import fit_examples

CONTEXT = 16


@dataclass(frozen=True, slots=True)
class Weighted:
    """An example that counts for so many."""

    example: Any
    weight: float
    prompt: str


@dataclass(frozen=True, slots=True)
class WeightedObjective:
    """An objective whose every example counts by its weight, so that all data are one small batch.

    Attributes:
        inner: The objective of `evalkit train sft` or `train dpo`.
    """

    inner: Any
    tallies_training: ClassVar[bool] = False

    def collate(self, examples: Sequence[Weighted], packed: bool) -> dict[str, Any]:
        """Return the inner objective's batch, with a weight for each of its losses."""
        inputs = self.inner.collate([one.example for one in examples], packed)
        losses = [
            sum(row.length for row in one.example.rows) if isinstance(one.example, Demonstration) else 1
            for one in examples
        ]
        weights = torch.from_numpy(np.repeat([one.weight for one in examples], losses)).float()
        return {**inputs, "weights": weights, "items": weights.sum()}

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the inner losses times their weights."""
        losses, outputs = self.inner.losses(model, inputs)
        return losses * inputs["weights"], outputs

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return what the inner objective counts, unweighted."""
        counts: dict[str, float] = self.inner.tally(inputs, outputs)
        return counts

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the inner metrics."""
        found: dict[str, float] = self.inner.metrics(sums)
        return found


@dataclass(frozen=True)
class ExactProbe:
    """A probe that hands the policy on, with the responses that it has learnt from, ten times in a run.

    Attributes:
        config: The run's.
        look_at: Takes both.
    """

    config: PpoConfig
    look_at: Callable[[int, LanguageModel], None]
    every: ClassVar[int] = 0
    stops: ClassVar[bool] = False

    def resume(self, step: int) -> None:
        """Take up a run: there is nothing to remember."""

    def measure(self, model: HeadedModel, step: int) -> Mapping[str, float]:
        """Hand the policy on after `step` updates; the start is no news."""
        settings = resolve_recipe(self.config)
        buffer = cast(int, settings.buffer)
        rounds = step // (settings.epochs * (buffer // settings.batch))
        if rounds:
            self.look_at(rounds * buffer, cast(LanguageModel, model))
        return {}


class Workshop:
    """A world's first policy, saved, and everything that starts from it.

    Args:
        world: The world.
        folder: Where models and training runs go.
        steps: Updates of every fit on weighted data.
    """

    def __init__(self, world: TiltWorld, folder: Path, steps: int = 300) -> None:
        self.world = world
        self.folder = folder
        self.steps = steps
        self.tokenizer = make_tokenizer()
        first = make_model(world.seed, self.tokenizer)
        self.encoder = ResponseEncoder(self.tokenizer, CONTEXT)
        self.enumeration = Enumeration(self.tokenizer, first)
        model = self._fit_sft(LanguageModel(first), world.taught, 2 * steps, 1e-2)
        self.base = str(folder / "base")
        save_policy(model.classifier, self.tokenizer, Path(self.base), {"method": "sft"})
        self.reference = load_reference(self.base, self.tokenizer, torch.device("cpu"))
        self.exact = self.enumeration.policy(self.reference.model)
        """[prompts, outcomes] of the reference."""

    def policy(self, model: LanguageModel) -> Floats:
        """Return what a policy says exactly, [prompts, outcomes]."""
        return self.enumeration.policy(model)

    def start(self) -> LanguageModel:
        """Return the reference's weights, to be trained."""
        model, _ = load_causal(self.base, self.base)
        return LanguageModel(model)

    def sample(self, n: int, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the outcomes of samples that the first policy wrote, [prompts, n]."""
        policy = LocalPolicy(load_causal(self.base, self.base)[0], self.tokenizer, self.base)
        settings = SamplingConfig(max_new_tokens=MAX_NEW_TOKENS, seed=seed)
        found = policy.generate(PROMPTS, n, settings)
        return np.array([[outcome_of(one.response) for one in group] for group in found])

    def sft(self, weights: Floats) -> LanguageModel:
        """Fine-tune on answers, each counting by its weight, [prompts, answers]."""
        return self._fit_sft(self.start(), weights, self.steps, 3e-3)

    def _fit_sft(self, model: LanguageModel, weights: Floats, steps: int, rate: float) -> LanguageModel:
        places = [(q, a) for q in range(len(PROMPTS)) for a in range(len(ANSWERS)) if weights[q, a] > 0]
        records = [[Generation(PROMPTS[q], f" {ANSWERS[a]}")] for q, a in places]
        prepared = encode_demonstrations(records, self.encoder, "error")
        values = [float(weights[place]) for place in places]
        return self._fit(model, SftObjective(), prepared.examples, values, steps, rate)

    def dpo(self, weights: Floats, dpo: DpoConfig) -> LanguageModel:
        """Train on pairs, each counting by its weight, [prompts, chosen, rejected]."""
        places = [
            (q, a, b) for q in range(len(PROMPTS)) for a, b in pairs_of_answers() if weights[q, a, b] > 0
        ]
        records = [Preference(PROMPTS[q], f" {ANSWERS[a]}", f" {ANSWERS[b]}") for q, a, b in places]
        pairs = encode_pairs(records, self.encoder, "error").examples
        folder = self._fresh("reference")
        known = reference_log_probs(self.reference, pairs, TrainingConfig(), folder)
        examples = [replace(pair, reference=one) for pair, one in zip(pairs, known, strict=True)]
        values = [float(weights[place]) for place in places]
        return self._fit(self.start(), DpoObjective(dpo), examples, values, self.steps, 3e-3)

    def _fit(
        self,
        model: LanguageModel,
        objective: DpoObjective | SftObjective,
        examples: Sequence[PairExample | Demonstration],
        weights: Sequence[float],
        steps: int,
        rate: float,
    ) -> LanguageModel:
        mean = sum(weights) / len(weights)
        weighted = [
            Weighted(one, weight / mean, one.prompt) for one, weight in zip(examples, weights, strict=True)
        ]
        config = TrainingConfig(
            learning_rate=rate,
            warmup_ratio=0.3,  # else texts in no pair become likelier, which no loss of pairs notices
            max_steps=steps,
            batch_prompts=len(weighted),
            checkpoint_steps=steps + 1,
            tensorboard=False,
            seed=self.world.seed,
        )
        fitted = fit_examples(
            model,
            WeightedObjective(objective),
            TrainingSplit(weighted, longest=CONTEXT),
            config,
            self._fresh("fit"),
        )
        return fitted.model

    def dpo_on_records(self, records: Sequence[Preference], dpo: DpoConfig) -> LanguageModel:
        """Train on pairs one by one, exactly as `evalkit train dpo` does."""
        training = TrainingConfig(
            learning_rate=3e-3,
            warmup_ratio=0.3,
            epochs=5,
            batch_prompts=128,
            evaluation_share=0,
            tensorboard=False,
            seed=self.world.seed,
        )
        model = self.start()
        out = self._fresh("dpo")
        fit_dpo(model, self.encoder, records, None, training, out, dpo=dpo, reference=self.reference)
        return model

    def _fresh(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def ppo(self, config: PpoConfig, look: Callable[[int, LanguageModel], None]) -> LanguageModel:
        """Optimise the reward by PPO, exactly as `evalkit train ppo` does.

        Args:
            config: The algorithm.
            look: Told the responses sampled so far and the policy, ten times in the run.
        """
        policy = self.start()
        options = PpoOptions(scorer_name="world", probe=ExactProbe(config, look))
        out = self._fresh("ppo")
        fit_ppo(policy, self.encoder, PROMPTS, (), config, out, scorer=self.world, options=options)
        return policy
