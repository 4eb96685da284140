"""Solutions to tokens, and the token at which each step ends; an unstable separator is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rewards.encoding.encoder import Encoder, Located, require_offsets
from rewards.errors import DataError, ModelError
from rewards.records import Prompt
from rewards.solutions.steps import terminated

BEFORE = ("8", "8.", "x)", "$x$", "word ", "},", "é", "漢")
AFTER = ("Step", "8", " word", "$", "(", "漢", "")
"""Contexts in which a separator's tokenization is tested."""


@dataclass(frozen=True, slots=True)
class EncodedSolution:
    """A solution's tokens up to its last separator, and where its steps' separators stand among them."""

    tokens: tuple[int, ...]
    places: tuple[int, ...]


class StepEncoder:
    """Turns solutions into tokens, each step ended by the separator's token, where its score is read.

    The text is the prompt and its steps, each with exactly one separator at its end, tokenised jointly. What
    a chat template writes behind the last step is left out, as no score depends on it.

    Args:
        encoder: Text to tokens; its EOS is not appended.
        separator: What ends a step.

    Raises:
        ModelError: The separator is not one token, the same one wherever it stands.
    """

    def __init__(self, encoder: Encoder, separator: str) -> None:
        self.encoder = encoder
        self.separator = separator
        self.token = separator_token(encoder.tokenizer, separator)
        """The separator's token."""

    def encode(
        self, prompts: Sequence[Prompt], solutions: Sequence[Sequence[str]], names: Sequence[str]
    ) -> list[EncodedSolution]:
        """Return each solution's tokens, untruncated.

        Args:
            prompts: The prompt of each solution.
            solutions: Its steps, one or more, with or without the separators that they carry.
            names: Each solution's name in an error.

        Raises:
            DataError: A separator is tokenized differently in this text, or a chat template changes text.
        """
        steps = [terminated(solution, self.separator) for solution in solutions]
        located = self.encoder.locate(prompts, ["".join(parts) for parts in steps], names)
        return [
            self._solution(row, parts, name) for row, parts, name in zip(located, steps, names, strict=True)
        ]

    def _solution(self, row: Located, steps: Sequence[str], name: str) -> EncodedSolution:
        ends = np.cumsum([len(step) for step in steps])
        # Tokens that cover nothing, such as EOS, have no end of their own; the first to reach so far counts.
        reached = np.maximum.accumulate(row.offsets[:, 1])
        places = np.searchsorted(reached, ends)
        inside = np.minimum(places, len(reached) - 1)
        is_end = (row.offsets[inside] == np.column_stack([ends - len(self.separator), ends])).all(axis=1)
        is_end &= np.array([row.tokens[place] == self.token for place in inside])
        if not is_end.all():
            step = int(np.argmin(is_end))
            token = row.tokens[int(inside[step])]
            text = self.encoder.tokenizer.convert_ids_to_tokens(token)
            raise DataError(
                f"{name}: the separator {self.separator!r} behind step {step + 1} is not its own token "
                f"{self.token} but part of {text!r} ({token}); take a separator that stays apart from the "
                "text, or make it a token with --process.add_token"
            )
        return EncodedSolution(tuple(row.tokens[: int(places[-1]) + 1]), tuple(places.tolist()))


def separator_token(tokenizer: Any, separator: str) -> int:  # noqa: ANN401  # Transformers has no public type
    """Return the single token of a separator.

    Raises:
        ModelError: It is several tokens, none, or depends on its neighbours; the message says which and
            what helps. Or the tokenizer gives no offsets.
    """
    require_offsets(tokenizer)
    texts = [before + separator + after for before in BEFORE for after in AFTER]
    contexts: dict[tuple[int, ...], str] = {}
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    pairs = [(before, after) for before in BEFORE for after in AFTER]
    for (before, _), text, ids, offsets in zip(
        pairs, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        begin, end = len(before), len(before) + len(separator)
        over = [
            (token, first, last)
            for token, (first, last) in zip(ids, offsets, strict=True)
            if last > begin and first < end
        ]
        if any(first < begin or last > end for _, first, last in over):
            pieces = ", ".join(repr(tokenizer.convert_ids_to_tokens(token)) for token, *_ in over)
            raise ModelError(_unstable(separator, f"in {text!r} it is part of the token {pieces}"))
        contexts.setdefault(tuple(token for token, *_ in over), text)
    for tokens, text in contexts.items():
        if len(tokens) != 1:
            names = " and ".join(repr(tokenizer.convert_ids_to_tokens(token)) for token in tokens) or "none"
            raise ModelError(_unstable(separator, f"in {text!r} it is {len(tokens)} tokens, {names}"))
    if len(contexts) > 1:
        variants = "; ".join(f"{tokens[0]} in {text!r}" for tokens, text in contexts.items())
        raise ModelError(_unstable(separator, f"its token is {variants}"))
    ((token,),) = contexts
    if token == tokenizer.unk_token_id:
        raise ModelError(_unstable(separator, "the tokenizer does not know it"))
    return int(token)


def _unstable(separator: str, why: str) -> str:
    return (
        f"the separator {separator!r} is not one token that is the same wherever it stands: {why}. Steps are "
        "labelled and scored at that token, so that labels would be lost; take another separator, or make "
        "this one a token of its own with --process.add_token"
    )
