"""Searches many prompts in parallel: one policy call and one scorer call per step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.policies.policy import Policy, PromptCheck, SamplingConfig
from evalkit.search.prompts import PromptSearch, SearchRow, begin
from evalkit.search.trees import FINISHED, OVER_LENGTH, PartialSolution, Shape, Tree
from rewards.errors import DataError, EvalkitError, ScoringError
from rewards.records import Generation, Prompt
from rewards.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a solution's length."""

    steps: int
    """Most steps in a solution."""
    tokens: int
    """Most tokens in a solution."""
    step_tokens: int
    """Most tokens in a step."""
    separator: str
    """Separator that ends a step."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A solution for the policy to continue."""

    search: PromptSearch
    tree: Tree
    parent: PartialSolution
    occurrence: int

    @property
    def prefix(self) -> Prompt:
        """The prefix for the policy."""
        prompt = self.search.problem.prompt
        return prompt + self.parent.text if isinstance(prompt, str) else prompt


class Searcher:
    """Searches prompts in parallel.

    Args:
        policy: Samples the steps.
        scorer: Scores solutions, also unfinished ones.
        shape: The method.
        limits: Limits of a solution's length. The limits of steps do not bind a method of whole solutions.
        settings: How tokens are sampled; its `stop` and `max_new_tokens` are set here.
    """

    def __init__(
        self, policy: Policy, scorer: Scorer, shape: Shape, limits: Limits, settings: SamplingConfig
    ) -> None:
        self.policy_calls = 0
        self.scorer_calls = 0
        self._policy, self._scorer = policy, scorer
        self._grades_empty: bool | None = None
        self._shape, self._limits = shape, limits
        stop = () if shape.whole else (limits.separator,)
        most = limits.tokens if shape.whole else min(limits.tokens, limits.step_tokens)
        self._settings = replace(settings, stop=stop, max_new_tokens=most)

    def search(self, problems: Sequence[SearchRow]) -> list[PromptSearch]:
        """Return the finished search of each prompt, in the order given.

        Raises:
            DataError: The policy cannot continue a prompt.
            ScoringError: A solution has no score; the message names its prompt's place.
        """
        searches = [begin(problem, self._shape, self._limits.steps) for problem in problems]
        samples = self._shape.first
        while asks := list(_asks(searches)):
            written = self._write(asks, samples)
            self._score(asks, written)
            _grow(asks, written)
            samples = self._shape.width
        return searches

    def _write(self, asks: Sequence[Ask], samples: int) -> list[list[PartialSolution]]:
        """Return the candidates that continue each ask; a parent too long for the model is truncated."""
        try:
            made = dict(zip(asks, self._continue(asks, samples), strict=True))
        except DataError:
            fitting = [ask for ask in asks if self._fits(ask)]
            if len(fitting) == len(asks):
                raise
            made = dict(zip(fitting, self._continue(fitting, samples), strict=True)) if fitting else {}
        cut: list[list[PartialSolution]] = [[replace(ask.parent, ending=OVER_LENGTH)] for ask in asks]
        return [
            [self._child(ask, one) for one in made[ask]] if ask in made else parent
            for ask, parent in zip(asks, cut, strict=True)
        ]

    def _fits(self, ask: Ask) -> bool:
        """Return whether the policy can continue a prefix; a prompt alone has been checked before."""
        if not ask.parent.text or not isinstance(self._policy, PromptCheck):
            return True
        try:
            self._policy.check([ask.prefix], [ask.search.problem.row.where])
        except DataError:
            return False
        return True

    def _continue(self, asks: Sequence[Ask], samples: int) -> list[list[Generation]]:
        self.policy_calls += 1
        made = self._policy.generate(
            [ask.prefix for ask in asks], samples, self._settings, [ask.occurrence for ask in asks]
        )
        for search in {ask.search: None for ask in asks}:
            search.budget.policy_calls += 1
        for ask, written in zip(asks, made, strict=True):
            ask.search.budget.prefixes += 1
            ask.search.budget.prefix_tokens += ask.parent.tokens
            ask.search.budget.candidates += len(written)
            ask.search.budget.tokens_sampled += sum(map(_token_count, written))
        return made

    def _child(self, ask: Ask, written: Generation) -> PartialSolution:
        """Return the parent extended by a candidate.

        A token limit for each solution would split one large call into many small ones. So a last step may
        exceed its solution's limit; then it is left out, and the solution is truncated before it.
        """
        reason, budget = written.extra["finish_reason"], ask.search.budget
        text, tokens = ask.parent.text + written.response, ask.parent.tokens + _token_count(written)
        if reason not in (FINISHED, OVER_LENGTH, "stop"):
            raise TypeError(f"a policy's finish_reason is eos, stop or length, got {reason!r}")
        if tokens > self._limits.tokens:
            return replace(ask.parent, ending=OVER_LENGTH)
        if reason != "stop":
            budget.empty_solutions += reason == FINISHED and not text
            return PartialSolution(text, tokens, str(reason))
        budget.empty_steps += not written.response
        full = tokens == self._limits.tokens
        return PartialSolution(text + self._limits.separator, tokens, OVER_LENGTH if full else "")

    def _grades(self, search: PromptSearch, texts: Sequence[str]) -> bool:
        """Return whether the scorer scores empty texts, tried on the first one.

        A solution that ends at once has no step, which a process scorer cannot score.
        """
        if self._grades_empty is None and "" in texts:
            self.scorer_calls += 1
            try:
                self._scorer.score([search.generation("", self._limits.separator)])
            except ScoringError:
                self._grades_empty = False
            else:
                self._grades_empty = True
        return bool(self._grades_empty)

    def _score(self, asks: Sequence[Ask], written: Sequence[Sequence[PartialSolution]]) -> None:
        """Score the texts that are new to their prompt, all prompts in one call."""
        texts: dict[PromptSearch, list[str]] = {}
        for ask, candidates in zip(asks, written, strict=True):
            texts.setdefault(ask.search, []).extend(candidate.text for candidate in candidates)
        pending = [
            (search, generation)
            for search, own in texts.items()
            for generation in search.to_score(own, self._limits.separator, self._grades(search, own))
        ]
        if not pending:
            return
        self.scorer_calls += 1
        generations = [generation for _, generation in pending]
        try:
            scores = self._scorer.score(generations)
        except EvalkitError:  # fails again, and names the prompt by its place rather than by its text
            self._scorer.score(
                [replace(generation, id=search.problem.row.where) for search, generation in pending]
            )
            raise
        for (search, generation), score in zip(pending, scores, strict=True):
            search.scores[generation.response] = score


def _asks(searches: Iterable[PromptSearch]) -> Iterator[Ask]:
    for search in searches:
        for tree in search.trees:
            for parent, occurrence in tree.extensions:
                yield Ask(search, tree, parent, occurrence)


def _grow(asks: Sequence[Ask], written: Sequence[Sequence[PartialSolution]]) -> None:
    candidates: dict[Tree, list[PartialSolution]] = {}
    owners: dict[Tree, PromptSearch] = {}
    for ask, own in zip(asks, written, strict=True):
        candidates.setdefault(ask.tree, []).extend(own)
        owners[ask.tree] = ask.search
    for tree, own in candidates.items():
        tree.grow(own, owners[tree].scores)


def _token_count(written: Generation) -> int:
    count = written.extra["token_count"]
    if not isinstance(count, int):
        raise TypeError(f"a policy's token_count is a whole number, got {count!r}")
    return count
