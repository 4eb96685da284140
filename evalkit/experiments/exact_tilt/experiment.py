"""The experiment of the exact tilt: every method on every world, then tables and a figure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from evalkit.experiments.exact_tilt.config import Tilt
from evalkit.experiments.exact_tilt.figures import draw_tilt
from evalkit.experiments.exact_tilt.methods import Workshop
from evalkit.experiments.exact_tilt.pairs import (
    draw_preferences,
    drawn_records,
    preference_weights,
    rso_pairs,
)
from evalkit.experiments.exact_tilt.rejection import accepted_of, accepted_of_different, simulated
from evalkit.experiments.exact_tilt.world import (
    OTHER,
    PROMPTS,
    Floats,
    TiltWorld,
    divergence,
    expected_distance,
    ipo_optimum,
    k2_rule,
    k3_rule,
    tilted,
    total_variation,
)
from evalkit.policies.config import DpoConfig
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.ppo.config import KlKind, PpoConfig
from evalkit.report.csv import write_csv
from evalkit.runs.settings import settings_of, write_settings
from evalkit.runs.terminal import say
from rewards.selection.preference_pairs import Labels

Row = dict[str, object]


def run(config: Tilt) -> None:
    """Run all seeds."""
    torch.set_num_threads(1)  # matrices this small gain nothing from a second
    distances: list[Row] = []
    paths: list[Row] = []
    rejection: list[Row] = []
    for seed in config.seeds:
        with TemporaryDirectory() as folder:
            bench = Bench(config, Workshop(TiltWorld(seed), Path(folder), config.updates))
            for part in (bench.baseline, bench.ppo, bench.dpo, bench.accepted, bench.rso):
                for row in part():
                    distances.append({"seed": seed, **row})
                    say(f"seed {seed}: {row['method']} {row['size']}: {row['tv']}")
            paths += [{"seed": seed, **row} for row in bench.path]
            rejection += [{"seed": seed, **row} for row in bench.rejection()]
    out = Path(config.out)
    write_csv(out / "distances.csv", distances)
    write_csv(out / "ppo.csv", paths)
    write_csv(out / "rejection.csv", rejection)
    draw_tilt(distances, paths, rejection, out / "exact_tilt.png")
    write_settings(out, settings_of(config))
    say(f"Results are in {out}")


class Bench:
    """Every method on one world, and how far each ends from the tilted policy.

    Args:
        config: The settings.
        shop: The world's first policy and what starts from it.
    """

    def __init__(self, config: Tilt, shop: Workshop) -> None:
        self.config = config
        self.shop = shop
        self.rewards = shop.world.rewards
        self.target = tilted(shop.exact, self.rewards, config.beta)
        self.rng = np.random.default_rng([shop.world.seed, 11])
        self.path: list[Row] = []
        """How far PPO is, while it learns."""

    def row(self, method: str, size: object, policy: Floats, own: Floats | None = None) -> Row:
        """Return how far a policy is from the target and from others.

        Args:
            method: What made it.
            size: Samples or pairs of a question; `all` where every one counts by its exact weight.
            policy: [prompts, outcomes].
            own: Where theory says that this method ends, if that is not the target.
        """
        beta = self.config.beta
        within = policy[:, :OTHER] / policy[:, :OTHER].sum(axis=1, keepdims=True)
        ideal = self.target[:, :OTHER] / self.target[:, :OTHER].sum(axis=1, keepdims=True)
        others = {
            "tv_reference": self.shop.exact,
            "tv_half_beta": tilted(self.shop.exact, self.rewards, beta / 2),
            "tv_double_beta": tilted(self.shop.exact, self.rewards, 2 * beta),
        }
        numbers = {
            "tv": total_variation(policy, self.target),
            "kl": divergence(policy, self.target),
            "tv_among_answers": total_variation(within, ideal),
            "other": float(policy[:, OTHER].mean()),
            **{name: total_variation(policy, other) for name, other in others.items()},
            "kl_reference": divergence(policy, self.shop.exact),
            "reward": float((policy * self.rewards).sum(axis=1).mean()),
        }
        if own is not None:
            numbers |= {"tv_own_theory": total_variation(policy, own)}
            numbers |= {"own_theory_to_target": total_variation(own, self.target)}
        return {
            "method": method,
            "size": size,
            **{name: round(value, 5) for name, value in numbers.items()},
        }

    def baseline(self) -> Iterator[Row]:
        """Yield the start, the target itself, and what the sampler of policies draws at the start."""
        yield self.row("reference", "", self.shop.exact)
        yield self.row("target", "", self.target)
        self.samples = self.shop.sample(2 * max(self.config.sizes), self.shop.world.seed)
        shares = [np.bincount(own, minlength=OTHER + 1) / len(own) for own in self.samples]
        found = self.row("samples of the reference", len(self.samples[0]), np.stack(shares))
        expected = expected_distance(self.shop.exact, len(self.samples[0]))
        yield {**found, "tv_reference_expected": round(expected, 5)}

    def ppo(self) -> Iterator[Row]:
        """Yield PPO with the penalty in the reward, by both objectives, and with the penalty in the loss."""
        base = self.shop.reference.model
        rules = {"k2": k2_rule(self.config.beta), "k3": k3_rule(self.config.beta)}
        yield self._ppo("ppo clip, k1 in the reward", self._settings())
        yield self._ppo("ppo penalty, k1 in the reward", self._settings(objective="penalty"))
        kinds: tuple[KlKind, ...] = ("k2", "k3", "k1")
        for kind in kinds:
            # Whitened, the reward would be on another scale than the penalty beside it.
            settings = self._settings(kl_in="loss", kl_kind=kind, whiten_advantages=False)
            own = None
            if kind in rules:
                own = self.shop.enumeration.stationary(base, self.rewards, rules[kind])
            yield self._ppo(f"ppo clip, {kind} in the loss", settings, own)
        settings = self._settings(kl_in="loss", kl_kind="k2")
        yield self._ppo("ppo clip, k2 in the loss, whitened", settings)

    def _settings(self, **changes: object) -> PpoConfig:
        config = self.config
        settings: dict[str, object] = {
            "kl_coefficient": config.beta,
            "episodes": config.episodes,
            "buffer": config.buffer,
            "samples": config.buffer // len(PROMPTS),
            "batch": config.batch,
            "epochs": 2,
            "learning_rate": config.learning_rate,
            "lam": 1.0,
            "max_new_tokens": 3,
            "seed": self.shop.world.seed,
        }
        return PpoConfig(**{**settings, **changes})  # type: ignore[arg-type]  # values of many types by name

    def _ppo(self, method: str, settings: PpoConfig, own: Floats | None = None) -> Row:
        def look(episodes: int, model: LanguageModel) -> None:
            distance = total_variation(self.shop.policy(model), self.target)
            self.path.append({"method": method, "episodes": episodes, "tv": round(distance, 5)})

        policy = self.shop.policy(self.shop.ppo(settings, look))
        return self.row(method, settings.episodes // len(PROMPTS), policy, own)

    def dpo(self) -> Iterator[Row]:
        """Yield DPO on all pairs by their weights, on finite draws of them, and the losses beside it."""
        shop, beta = self.shop, self.config.beta
        endless = preference_weights(shop.exact, self.rewards)
        yield self.row("dpo", "all", shop.policy(shop.dpo(endless, DpoConfig(beta=beta))))
        for size in self.config.sizes:
            counts = draw_preferences(self.samples[:, : 2 * size], self.rewards, self.rng)
            yield self.row("dpo", size, shop.policy(shop.dpo(counts, DpoConfig(beta=beta))))
        records = drawn_records(endless, self.config.records, self.rng)
        model = shop.dpo_on_records(records, DpoConfig(beta=beta))
        yield self.row("dpo, record by record", len(records) // len(PROMPTS), shop.policy(model))
        own = ipo_optimum(endless, shop.exact, beta)
        yield self.row("ipo", "all", shop.policy(shop.dpo(endless, DpoConfig("ipo", beta))), own)
        yield self.row("hinge", "all", shop.policy(shop.dpo(endless, DpoConfig("hinge", beta))))

    def accepted(self) -> Iterator[Row]:
        """Yield fine-tuning on samples accepted one of 64 at a time, copies kept."""
        for size in self.config.sizes:
            shares = np.stack(
                [
                    simulated(own / own.sum(), worth, self.config.beta, 64, 1, False, size, self.rng)[0]
                    for own, worth in zip(self.shop.exact, self.rewards, strict=True)
                ]
            )
            yield self.row("sft on accepted", size, self.shop.policy(self.shop.sft(shares[:, :OTHER])))

    def rso(self) -> Iterator[Row]:
        """Yield RSO's sigmoid-norm on accepted pairs, labelled by a rater and by the reward itself."""
        config, loss = self.config, DpoConfig(beta=self.config.beta)
        number = config.rso_n * max(config.sizes) // (config.rso_k // 2)
        samples = np.stack([self.rng.choice(len(own), number, p=own / own.sum()) for own in self.shop.exact])
        kinds: tuple[Labels, ...] = ("bradley-terry", "reward")
        for labels in kinds:
            counts = rso_pairs(
                samples, self.rewards, config.rso_n, config.rso_k, config.beta, labels, self.rng
            )
            size = int(counts.sum()) // len(PROMPTS)
            yield self.row(f"rso, labels {labels}", size, self.shop.policy(self.shop.dpo(counts, loss)))

    def rejection(self) -> Iterator[Row]:
        """Yield how far what rejection sampling accepts is from the tilted policy."""
        exact = self.shop.exact / self.shop.exact.sum(axis=1, keepdims=True)
        pairs = list(zip(exact, self.rewards, strict=True))
        beta, times = self.config.beta, self.config.times
        for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024):
            found = np.stack([accepted_of(own, worth, beta, n) for own, worth in pairs])
            yield self._accepted("copies kept", n, 1, found, "exact")
        found = np.stack([accepted_of_different(own, worth, beta) for own, worth in pairs])
        yield self._accepted("different texts", "without end", 1, found, "exact")
        for different, n, k in _simulations():
            runs = [simulated(own, worth, beta, n, k, different, times, self.rng) for own, worth in pairs]
            kind = "different texts" if different else "copies kept"
            row = self._accepted(kind, n, k, np.stack([found for found, _ in runs]), "simulated")
            number = float(np.mean([number for _, number in runs]))
            chance = expected_distance(self.target, int(times * number))
            yield {**row, "accepted": round(number, 3), "tv_by_chance": round(chance, 5)}

    def _accepted(self, kind: str, n: object, k: int, found: Floats, how: str) -> Row:
        equal = np.full_like(found, 1 / OTHER)
        equal[:, OTHER] = 0
        return {
            "candidates": kind,
            "n": n,
            "k": k,
            "how": how,
            "tv": round(total_variation(found, self.target), 5),
            "tv_reference": round(total_variation(found, self.shop.exact), 5),
            "tv_equal_shares": round(total_variation(found, equal), 5),
        }


def _simulations() -> Sequence[tuple[bool, int, int]]:
    """Return what is simulated: whether copies are merged, samples, and how many are accepted."""
    merged = [(True, n, k) for n in (8, 64) for k in (1, 2, 4, 8)]
    return [*merged, *((False, 64, k) for k in (1, 4, 8, 16, 32))]
