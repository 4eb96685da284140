"""The commands of the stories experiment, in the order in which a user would type them, and their prompts."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from evalkit.experiments.stories.config import Stories
from rewards.errors import ConfigError

GIRLS = ("Lily", "Mia", "Sara", "Anna", "Amy", "Sue", "Lucy", "Jane")
BOYS = ("Tom", "Ben", "Sam", "Max", "Tim", "Jack", "Bob", "Leo")
PLACES = ("park", "beach", "garden", "forest", "farm", "school")
THINGS = ("red ball", "toy car", "big box", "little dog", "blue hat", "soft bear")

KIND_WORDS = "happ|friend|smil|laugh|hug|help|shar|thank"
KINDNESS = rf"rule:pattern?pattern=(?s)\b({KIND_WORDS})(?!.*\b\1)&count=true"
"""A point for each of eight kind words; said again it counts no more."""
TALE = (r'"[A-Z][^"]+[.!?,]"', r'[.!?]"?\s*$', r"^\s*(\S+\s+){24}\S")
"""A point each: somebody says something, from quote to quote; the end is a sentence's; it has 25 words."""
LABEL_NOISE = 1.5
"""Weight of uniform noise in labels: of stories a point apart the worse is preferred in 1 of 18 cases."""


def tale(noise_seed: int | None = None) -> str:
    """Return the scorer that gives a point for each pattern of a tale, with labels' noise or without."""
    members = [f"rule:pattern?pattern={pattern}" for pattern in TALE]
    if noise_seed is None:
        return f"ensemble:{','.join(map(_member, members))}?combine=sum"
    weights = ",".join(["1"] * len(members) + [f"{LABEL_NOISE:g}"])
    members.append(f"rule:random?seed={noise_seed}")
    return f"ensemble:{','.join(map(_member, members))}?combine=sum&weights={weights}"


def _member(scorer: str) -> str:
    """Encode what is reserved in an ensemble; a pattern must not hold & or %."""
    return scorer.replace(",", "%2C").replace("?", "%3F").replace("&", "%26")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One command line, which is done when a mark of its name says so."""

    name: str
    title: str
    arguments: tuple[str, ...]

    @property
    def line(self) -> str:
        """What a user types."""
        return shlex.join(("evalkit", *self.arguments))


@dataclass(frozen=True, slots=True)
class StoryReward:
    """One of the two rewards that stories are improved by."""

    name: str
    title: str
    scorer: str
    gold: str
    """What is looked at beside it as the truth."""
    beta: float
    """Temperature of rejection sampling, about half the reward's standard deviation."""
    kl_coefficient: float
    """Of PPO, in the reward's units a nat."""
    pairs: str
    """How samples are matched for DPO; a rule's many ties make none, so that it takes more."""


METHODS = {"dpo": "DPO", "rso": "RSO", "ppo": "PPO", "best-of-n": "best-of-n"}
"""Folder of each method's policy, and what tables call it."""


@dataclass(frozen=True, slots=True)
class StoriesTrial:
    """The whole experiment: its settings, its files and its rewards."""

    config: Stories

    @property
    def work(self) -> Path:
        """The folder of the run."""
        return Path(self.config.work)

    def path(self, *parts: str) -> str:
        """Return a path in the folder of the run, as it stands in commands."""
        return str(self.work.joinpath(*parts))

    @property
    def rewards(self) -> tuple[StoryReward, StoryReward]:
        """The rule, which is its own truth, and the model, which learnt from labels by another rule."""
        return (
            StoryReward("rule", "kind words", KINDNESS, KINDNESS, 0.5, 0.05, "tournament"),
            StoryReward(
                "model", "a trained reward model", self.path("reward"), tale(), 0.5, 0.1, "first-round"
            ),
        )


def write_prompts(config: Stories) -> dict[str, list[str]]:
    """Return beginnings of stories: for the reward models, to learn from, and held out; none twice.

    Args:
        config: How many of each, and the seed of their order, which is the same for all numbers.

    Raises:
        ConfigError: There are not so many.
    """
    names = [*((name, "girl") for name in GIRLS), *((name, "boy") for name in BOYS)]
    beginnings = [f"Once upon a time, there was a little {kind} named {name}." for name, kind in names]
    for (name, kind), place in product(names, PLACES):
        beginnings.append(f"One day, {name} went to the {place}.")
        friend = (BOYS if kind == "girl" else GIRLS)[len(beginnings) % 8]
        beginnings.append(f"{name} and {friend} were at the {place}. It was a sunny day.")
    for (name, _), thing in product(names, THINGS):
        beginnings += [f"{name} had a {thing}.", f"{name} liked to play with a {thing}."]
    order = np.random.default_rng([config.seed, 0]).permutation(len(beginnings))
    shuffled = [beginnings[place] for place in order]
    ends = np.cumsum([0, config.held_out, config.reward_prompts, config.prompts])
    if ends[-1] > len(beginnings):
        raise ConfigError(f"there are {len(beginnings)} beginnings of stories, and {ends[-1]} are asked for")
    parts = ("held-out", "reward-prompts", "prompts")
    return {name: shuffled[ends[at] : ends[at + 1]] for at, name in enumerate(parts)}


def commands(trial: StoriesTrial) -> Iterator[CommandLine]:
    """Yield all commands in order; each reads files of those before it."""
    yield from _reward_model(trial, "reward", trial.config.seed)
    yield from _reward_model(trial, "judge", trial.config.seed + 1)
    yield _generate(trial, "samples", "prompts", trial.config.seed + 2)
    for reward in trial.rewards:
        yield from _policies(trial, reward)
        yield _compare(trial, reward)


def _generate(trial: StoriesTrial, name: str, prompts: str, seed: int) -> CommandLine:
    config = trial.config
    arguments = ("generate", "--policy", trial.config.model, "--data", trial.path(f"{prompts}.jsonl"))
    drawn = ("--n", str(config.samples), "--max_new_tokens", str(config.tokens), "--seed", str(seed))
    out = ("--out", trial.path(f"{name}.jsonl"))
    return CommandLine(f"{name}-drawn", "tell stories to the prompts", (*arguments, *drawn, *out))


def _reward_model(trial: StoriesTrial, name: str, seed: int) -> Iterator[CommandLine]:
    """Yield the commands from stories to a reward model with its report card."""
    yield _generate(trial, f"{name}-samples", "reward-prompts", seed)
    noisy = tale(seed)
    labels, test = trial.path(f"{name}-labels.jsonl"), trial.path("held-out-labels.jsonl")
    yield _score(trial, f"{name}-scored", noisy, f"{name}-samples")
    yield _pair(trial, f"{name}-labels", f"{name}-scored", seed)
    if name == "reward":
        yield _generate(trial, "held-out-samples", "held-out", seed + 100)
        yield _score(trial, "held-out-scored", tale(), "held-out-samples")
        yield _pair(trial, "held-out-labels", "held-out-scored", seed)
    training = _training(trial.config.reward_epochs, 1e-3, seed)
    body = ("--body.name", trial.config.model, "--evaluation_data", test)
    yield CommandLine(
        f"{name}-trained",
        "train a reward model on noisy labels",
        ("train", "outcome", "--data", labels, "--out", trial.path(name), *body, *training),
    )
    yield CommandLine(
        f"{name}-evaluated",
        "its accuracy on held-out labels without noise",
        ("evaluate", "--scorer", trial.path(name), "--data", test, "--out", trial.path(f"{name}-card")),
    )


def _score(trial: StoriesTrial, name: str, scorer: str, samples: str) -> CommandLine:
    data, out = trial.path(f"{samples}.jsonl"), trial.path(f"{name}.jsonl")
    return CommandLine(name, "score them", ("score", "--scorer", scorer, "--data", data, "--out", out))


def _pair(trial: StoriesTrial, name: str, scored: str, seed: int, pairs: str = "first-round") -> CommandLine:
    data, out = trial.path(f"{scored}.jsonl"), trial.path(f"{name}.jsonl")
    how = ("--k", str(trial.config.samples), "--pairs", pairs, "--seed", str(seed))
    return CommandLine(name, "pair them at random", ("select", "--data", data, *how, "--out", out))


def _training(epochs: int, learning_rate: float, seed: int) -> tuple[str, ...]:
    return (
        "--training.learning_rate", f"{learning_rate:g}", "--training.epochs", str(epochs),
        "--training.seed", str(seed), "--training.tensorboard", "false",
    )  # fmt: skip


def _policies(trial: StoriesTrial, reward: StoryReward) -> Iterator[CommandLine]:
    """Yield a command a method; DPO's pairs come before it, the others make their own."""
    config, seed = trial.config, trial.config.seed
    scored, pairs = f"{reward.name}-scored", f"{reward.name}-pairs"
    yield _score(trial, scored, reward.scorer, "samples")
    yield _pair(trial, pairs, scored, seed, reward.pairs)
    prompts = ("--data", trial.path("prompts.jsonl"), "--scorer", reward.scorer)
    drawing = ("--drawing.max_new_tokens", str(config.tokens))
    fitted = _training(config.epochs, 1e-4, seed)
    beta = ("--dpo.beta", "0.1")
    options: dict[str, tuple[str, ...]] = {
        "dpo": ("--data", trial.path(f"{pairs}.jsonl"), *beta, *fitted, "--probe.scorer", reward.scorer),
        "rso": (
            *prompts, "--n", str(config.rso_samples), "--k", "6", "--pairs", "all",
            "--beta", f"{reward.beta:g}", *drawing, *beta, *fitted,
            "--training.max_steps", str(config.rso_updates),
        ),
        "ppo": (
            *prompts, "--ppo.episodes", str(config.episodes), "--ppo.buffer", str(config.buffer),
            "--ppo.batch", str(config.buffer // 4), "--ppo.learning_rate", "3e-4",
            "--ppo.critic_learning_rate", "1e-3", "--ppo.epochs", "2",
            "--ppo.kl_coefficient", f"{reward.kl_coefficient:g}", "--ppo.max_gradient_norm", "1",
            "--ppo.max_new_tokens", str(config.tokens), "--ppo.seed", str(seed), "--tensorboard", "false",
        ),
        "best-of-n": (
            *prompts, "--n", str(config.samples), "--k", "1", "--rounds", str(config.rounds), *drawing,
            *_training(3, 3e-4, seed), "--training.batch_prompts", "16",
        ),
    }  # fmt: skip
    probe = (
        "--probe.data", trial.path("held-out.jsonl"), "--probe.gold", reward.gold,
        "--probe.prompts", str(config.held_out), "--probe.max_new_tokens", str(config.tokens),
    )  # fmt: skip
    for method, own in options.items():
        start = ("train", method, "--policy", trial.config.model, "--out", trial.path(reward.name, method))
        name = f"{reward.name}-{method}"
        yield CommandLine(name, f"{METHODS[method]} against {reward.title}", (*start, *own, *probe))


def _compare(trial: StoriesTrial, reward: StoryReward) -> CommandLine:
    policies = json.dumps({title: trial.path(reward.name, method) for method, title in METHODS.items()})
    scorers = {"proxy": reward.scorer, "gold": reward.gold}
    if reward.gold == reward.scorer:
        scorers = {"kind words": reward.scorer, "tale": tale()}
    judges = json.dumps({"RM judge": f"reward:{trial.path('judge')}"})
    arguments = (
        "compare", "--baseline", trial.config.model, "--baseline_name", "before", "--policies", policies,
        "--data", trial.path("held-out.jsonl"), "--scorers", json.dumps(scorers), "--judges", judges,
        "--samples", "4", "--drawing.max_new_tokens", str(trial.config.tokens),
        "--seed", str(trial.config.seed), "--out", trial.path(f"{reward.name}-compared"),
    )  # fmt: skip
    return CommandLine(f"{reward.name}-compared", f"compare all that {reward.title} made", arguments)
