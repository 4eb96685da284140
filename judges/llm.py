"""LLM as a judge: openai:MODEL, asked which of two answers is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from judges.asking.asker import Asker
from judges.asking.session import Session
from judges.instructions import (
    Instructions,
    check_options,
    comparison_name,
    judge_name,
    open_session,
    read_axis,
    read_instructions,
)
from judges.judge import Comparison, Judge, Reason, Verdict, Winner
from judges.pointwise import load_pointwise_judge
from judges.questions.question import Attempt, Question
from rewards.errors import SpecError
from rewards.specs import Spec


@dataclass(frozen=True)
class PairwiseJudge:
    """Shows a language model both answers, in the given order, and parses its verdict."""

    asker: Asker
    instructions: Instructions
    name: str
    """Its name in verdicts."""
    axis: str = ""

    def questions(self, comparison: Comparison) -> Sequence[Question]:
        """Return the questions about a comparison.

        Raises:
            DataError: A reference is to be shown and the comparison has none.
        """
        shown = {"first": comparison.first, "second": comparison.second}
        row = comparison_name(comparison)
        return [self.instructions.question(comparison.prompt, shown, comparison.extra, row)]

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Return one verdict for each comparison, in the order asked, `first` shown first.

        Raises:
            DataError: A reference is to be shown and a comparison has none.
        """
        questions = [question for comparison in comparisons for question in self.questions(comparison)]
        attempts = self.asker.answers(questions)
        return [self._verdict(*pair) for pair in zip(comparisons, attempts, strict=True)]

    def _verdict(self, comparison: Comparison, attempt: Attempt) -> Verdict:
        won = attempt.state == "ok"
        return Verdict(
            comparison,
            cast(Winner, attempt.result["winner"]) if won else None,
            cast("float | None", attempt.result.get("preference")),
            "" if won else cast(Reason, attempt.state),
            self.name,
            self.axis,
            self.instructions.repeat,
            detail=attempt.detail,
            reply=attempt.reply,
            usage=attempt.usage,
        )


def load_openai_judge(spec: Spec, session: Session | None = None) -> Judge:
    """Load `openai:MODEL?mode=pairwise|pointwise&...`.

    Options are `answer` (text, letter, schema), `ties`, `logprobs` and `top_logprobs` in pairwise mode;
    `rubric`, `margin` and `answer` (text, schema) in pointwise mode; and in both `reference`, `axis`,
    `prompt`, `temperature`, `max_tokens`, `tokens_field`, `seed`, `repeat`, `base_url` and `ledger`.

    Asked are temperature 0 and `max_tokens`; of the models of OpenAI's own endpoint that reason (o3, gpt-5,
    ...), which refuse both, their own temperature and a greater `max_completion_tokens`. Whatever is sent is
    part of the question's key.

    Raises:
        SpecError: An option is unknown, out of its range, or makes no sense with another.
        MissingFileError: There is no such prompt or rubric.
        DataError: The prompt or the rubric is not what was expected.
    """
    mode = spec.options.get("mode", "pairwise")
    if mode == "pointwise":
        return load_pointwise_judge(spec, session)
    if mode != "pairwise":
        raise SpecError(f"{spec.text}: option mode is pairwise or pointwise, got {mode!r}")
    check_options(spec, "pairwise", "mode")
    session = open_session(spec, session)
    instructions = read_instructions(spec, spec.rest, "pairwise", session)
    asker = Asker(session, spec.rest, spec.options.get("base_url", ""))
    return PairwiseJudge(asker, instructions, judge_name(spec, spec.rest), read_axis(spec, session))
