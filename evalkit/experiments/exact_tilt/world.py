"""A world of eight answers to three questions: what a policy says there exactly, and where it should end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.policies.generation.local import end_tokens
from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.language_model import LanguageModel, row_statistics
from evalkit.testbeds.world_models import make_llama, make_word_tokenizer
from rewards.models.head import can_pack, prepare_for_packing
from rewards.records import Generation, Score

Floats = NDArray[np.float64]

PROMPTS = ("sky ?", "sea ?", "sun ?")
WORDS = ("red", "green", "blue", "gold")
ANSWERS = ("red", "green", "blue", "gold", "red blue", "green red", "blue gold", "gold green")
OTHER = len(ANSWERS)
"""The outcome of every text that is no answer: one place behind the answers."""
MAX_NEW_TOKENS = 3
"""Two words and the ending; what has not ended by then is cut there."""


@dataclass(frozen=True)
class TiltWorld:
    """Rewards of the answers, and the policy that they are learnt from.

    Attributes:
        seed: Of both.
        other_reward: Reward of a text that is no answer.
    """

    seed: int
    other_reward: float = -1.0
    rewards: Floats = field(init=False)
    """[prompts, outcomes] in nats of a Bradley-Terry rater; the last outcome is any other text."""
    taught: Floats = field(init=False)
    """[prompts, answers] the probabilities that the first policy is taught."""

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 7])
        shape = len(PROMPTS), len(ANSWERS)
        rewards = np.column_stack([rng.normal(0, 1, shape), np.full(len(PROMPTS), self.other_reward)])
        weights = np.exp(rng.normal(0, 0.7, shape))
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "taught", weights / weights.sum(axis=1, keepdims=True))

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return the reward of each response: the world is its own scorer."""
        return [
            Score(float(self.rewards[PROMPTS.index(cast(str, one.prompt)), outcome_of(one.response)]))
            for one in generations
        ]


def outcome_of(response: str) -> int:
    """Return the number of an answer, or of the other texts."""
    words = " ".join(response.split())
    return ANSWERS.index(words) if words in ANSWERS else OTHER


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer: one token a word."""
    words = [*dict.fromkeys(word for prompt in PROMPTS for word in prompt.split()), *WORDS]
    return make_word_tokenizer(words, pre_tokenizers.WhitespaceSplit(), None, positions=16)


def make_model(seed: int, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make an untrained Llama of about 14 thousand weights."""
    return make_llama(32, 1, 16, 16, seed, tokenizer)


class Enumeration:
    """Every sequence of tokens that can be sampled as a response, so that a policy is known exactly.

    Args:
        tokenizer: The tokenizer of all policies.
        model: One of them, which tells the tokens that end a response.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
        ends = end_tokens(model, tokenizer)
        texts = TextCodec(tokenizer, "policy", ends)
        others = [token for token in range(len(tokenizer)) if token not in ends]
        self.responses = [
            (*words, end)
            for length in range(MAX_NEW_TOKENS)
            for words in product(others, repeat=length)
            for end in sorted(ends)
        ] + list(product(others, repeat=MAX_NEW_TOKENS))
        """[S] tokens of each response; those without an ending token are cut by their length."""
        prompts = [texts.encode(prompt) for prompt in PROMPTS]
        self.rows = [[*prompt, *response] for prompt in prompts for response in self.responses]
        self.starts = [len(prompt) for prompt in prompts for _ in self.responses]
        owners = [prompt for prompt in prompts for _ in self.responses]
        found = texts.responses(owners, self.responses * len(prompts))
        self.outcomes = np.array(list(map(outcome_of, found))).reshape(len(prompts), -1)
        """[prompts, S] the answer that each response is read as."""

    def token_log_probs(self, model: LanguageModel) -> list[list[Floats]]:
        """Return each token's log-probability, of every response to each prompt, [prompts][S][T]."""
        longest = max(map(len, self.rows))
        packed = can_pack(model.inner.config, longest) and prepare_for_packing(model)
        found = row_statistics(model, self.rows, self.starts, packed)
        values = [one.log_probs.double().numpy() for one in found]
        size = len(self.responses)
        return [values[place * size : (place + 1) * size] for place in range(len(PROMPTS))]

    def policy(self, model: LanguageModel) -> Floats:
        """Return the probability of each outcome, [prompts, outcomes]; rows sum to 1 as they are."""
        return np.stack(
            [
                np.bincount(outcomes, np.exp([one.sum() for one in values]), OTHER + 1)
                for outcomes, values in zip(self.outcomes, self.token_log_probs(model), strict=True)
            ]
        )

    @cached_property
    def _tree(self) -> list[tuple[int, ...]]:
        """All beginnings of responses that go on, the longest first."""
        found = {one[:length] for one in self.responses for length in range(len(one))}
        return sorted(found, key=len, reverse=True)

    def stationary(
        self, reference: LanguageModel, rewards: Floats, choose: Callable[[Floats, Floats], Floats]
    ) -> Floats:
        """Return where a rule for each token's distribution comes to rest, [prompts, outcomes].

        Goes from the last tokens to the first. At each the rule sees the reference's distribution and the
        reward that is to be expected after each token, no penalty taken off.

        Args:
            reference: The reference.
            rewards: [prompts, outcomes].
            choose: (reference [V], expected reward [V]) -> the distribution [V].
        """
        results = []
        for place, own in enumerate(self.token_log_probs(reference)):
            known: dict[tuple[int, ...], float] = {}
            worth: dict[tuple[int, ...], float] = {}
            for response, values, outcome in zip(self.responses, own, self.outcomes[place], strict=True):
                known |= {response[: n + 1]: float(value) for n, value in enumerate(values)}
                worth[response] = float(rewards[place, outcome])
            after: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
            for node in known:
                after.setdefault(node[:-1], []).append(node)
            chosen: dict[tuple[int, ...], float] = {}
            for beginning in self._tree:
                nodes = after[beginning]
                gain = np.array([worth[node] for node in nodes])
                policy = choose(np.exp([known[node] for node in nodes]), gain)
                chosen |= dict(zip(nodes, policy.tolist(), strict=True))
                worth[beginning] = float(policy @ gain)
            probability = [
                float(np.prod([chosen[one[: n + 1]] for n in range(len(one))])) for one in self.responses
            ]
            results.append(np.bincount(self.outcomes[place], probability, OTHER + 1))
        return np.stack(results)


def tilted(reference: Floats, rewards: Floats, beta: float) -> Floats:
    """Return pi_ref exp(r / beta) / Z, [..., outcomes]: what KL-penalised reward is highest at."""
    exponent = (rewards - rewards.max(axis=-1, keepdims=True)) / beta
    weights = reference * np.exp(exponent)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def total_variation(first: Floats, second: Floats) -> float:
    """Return half the sum of absolute differences, in [0, 1], the mean over prompts."""
    return float(0.5 * np.abs(first - second).sum(axis=-1).mean())


def divergence(first: Floats, second: Floats) -> float:
    """Return KL(first || second) in nats, the mean over prompts."""
    there = first > 0
    ratio = np.log(np.where(there, first, 1.0)) - np.log(np.where(there, second, 1.0))
    return float((first * ratio).sum(axis=-1).mean())


def expected_distance(policy: Floats, samples: int) -> float:
    """Return the total variation to be expected between a policy and that many samples of it a prompt.

    By the normal approximation: the mean of |x| is sqrt(2 / pi) standard deviations.
    """
    spread = np.sqrt(2 * policy * (1 - policy) / (np.pi * samples))
    return float(0.5 * spread.sum(axis=-1).mean())


def k2_rule(beta: float) -> Callable[[Floats, Floats], Floats]:
    """Return where k2 in the loss rests: each token's KL(pi || ref) is held against the reward to come."""
    return lambda reference, gain: tilted(reference, gain, beta)


def k3_rule(beta: float) -> Callable[[Floats, Floats], Floats]:
    """Return where k3 in the loss rests: its gradient is that of KL(ref || pi), of each token.

    pi (Q - V) = beta (pi - ref) is solved by pi = beta ref / (c - Q), with the c that makes it sum to 1.
    """

    def choose(reference: Floats, gain: Floats) -> Floats:
        low, high = float(gain.max()), float(gain.max()) + beta
        for _ in range(100):
            middle = (low + high) / 2
            # The sum falls as c rises, and is 1 at most where c is max Q + beta.
            if middle > gain.max() and float((beta * reference / (middle - gain)).sum()) <= 1:
                high = middle
            else:
                low = middle
        policy = beta * reference / (high - gain)
        return np.asarray(policy / policy.sum(), dtype=np.float64)

    return choose


def pairs_of_answers() -> Iterator[tuple[int, int]]:
    """Yield every two different answers, in both orders."""
    yield from ((a, b) for a in range(len(ANSWERS)) for b in range(len(ANSWERS)) if a != b)


def ipo_optimum(weights: Floats, reference: Floats, beta: float) -> Floats:
    """Return the policy at the least IPO loss on weighted pairs, [prompts, outcomes].

    With s = log pi / pi_ref, each pair asks for s_chosen - s_rejected = 1 / (2 beta): weighted least squares.
    The loss says nothing of other texts; they are left at the reference's share.

    Args:
        weights: [prompts, chosen, rejected].
        reference: [prompts, outcomes].
        beta: IPO's tau.
    """
    results = []
    for own, base in zip(weights, reference, strict=True):
        places = list(pairs_of_answers())
        roots = np.sqrt([own[place] for place in places])
        matrix = np.zeros((len(places), OTHER))
        matrix[range(len(places)), [a for a, _ in places]] = 1
        matrix[range(len(places)), [b for _, b in places]] -= 1
        score = np.linalg.lstsq(matrix * roots[:, None], roots / (2 * beta), rcond=None)[0]
        answers = base[:OTHER] * np.exp(score)
        results.append(np.append(answers / answers.sum() * base[:OTHER].sum(), base[OTHER]))
    return np.stack(results)
