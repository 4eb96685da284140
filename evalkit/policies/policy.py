"""The policy protocol, which generates responses; the sampling settings; loading a policy by name.

Whatever answers prompts is a policy: a language model in this process, an engine, an endpoint.

    policy = load_policy("stories260k")  # a model folder or Hub id
    policy.generate(["Once upon a time"], n=4)  # [[Generation(...), Generation(...), ...]]

Any object with a method `generate` is a policy: there is no base class. `docs/extending.md` writes one and
gives it a name for the command line. `PromptCheck` below is optional.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from rewards.errors import ConfigError
from rewards.records import Generation, Prompt
from rewards.specs import load_by_spec


@dataclass(frozen=True)
class SamplingConfig:
    """How responses are sampled.

    The next token's distribution is made in this order: divide the logits by `temperature`; keep the `top_k`
    likeliest tokens; of these, renormalised, keep the fewest that together reach `top_p`. Tokens of equal
    probability rank by token id, lowest first, so exactly `top_k` remain.
    """

    temperature: float = 1.0
    """0 takes the likeliest token (the lowest token id of equals)."""
    top_p: float = 1.0
    """Probability that the likeliest tokens must reach, in (0, 1]; 1 keeps all."""
    top_k: int = 0
    """Number of likeliest tokens kept; 0 keeps all."""
    max_new_tokens: int = 256
    """Most tokens in a response; fewer where the model's context ends earlier."""
    stop: tuple[str, ...] = ()
    """Stop sequences: a response ends before the first of them."""
    seed: int = 0
    """Seed of the samples."""
    log_probs: bool = False
    """Put `tokens` and `log_probs` into each generation's `extra`."""
    batch_size: int = 0
    """Responses sampled at once; 0 takes as many as fit half a gibibyte of keys and values."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature is a finite number from 0, got {self.temperature!r}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is in (0, 1], got {self.top_p!r}")
        for name, least in (("top_k", 0), ("max_new_tokens", 1), ("seed", 0), ("batch_size", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name} is {least} or more, got {value!r}")
        if not all(self.stop):
            raise ConfigError("a stop text must not be empty")


DEFAULT_SAMPLING = SamplingConfig()


class Policy(Protocol):
    """Generates responses to prompts."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        settings: SamplingConfig = DEFAULT_SAMPLING,
        occurrences: Sequence[int] | None = None,
    ) -> list[list[Generation]]:
        """Return exactly `n` generations for each prompt, in the order asked.

        Sample j of a prompt depends on the seed, the prompt, its occurrence and j; not on n, the order of the
        prompts or what else is asked. Each generation's `extra` has `finish_reason`: `eos` (the model ended
        it), `stop` (a stop sequence was cut off) or `length`; and `token_count`, all sampled tokens. With
        `settings.log_probs`, also `tokens`, every sampled token, EOS and those of a stop sequence
        included; and `log_probs`, the model's own log-probability of each (nats, temperature 1, before top-k
        and top-p), so that their sum is the log-probability of what was sampled.

        Args:
            prompts: Texts that the response continues, or messages.
            n: Generations for each prompt.
            settings: How they are sampled.
            occurrences: How often each prompt occurred before, from 0, which makes a repeated prompt's
                samples differ from the first's; None counts within this call.

        Raises:
            DataError: A prompt cannot be continued, such as one longer than the model's context.
        """
        ...


@runtime_checkable
class PromptCheck(Protocol):
    """A policy that can check prompts before sampling; commands call it before they begin."""

    def check(self, prompts: Sequence[Prompt], names: Sequence[str]) -> None:
        """Refuse prompts that cannot be continued.

        Args:
            prompts: The prompts of a later `generate`.
            names: Name of each prompt in error messages, such as `prompts.jsonl:3`.

        Raises:
            DataError: A prompt cannot be continued; the message begins with its name.
        """
        ...


def load_policy(spec: str) -> Policy:
    """Load a policy by name: a model folder or Hub id, or a scheme of the `evalkit.policies` entry points.

    `rewards/specs.py` says how a specification is written.

    Raises:
        SpecError: The specification names no policy.
    """
    return cast(Policy, load_by_spec(spec, "evalkit.policies"))
