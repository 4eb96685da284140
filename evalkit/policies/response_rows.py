"""Prompts and responses to rows of tokens: the response's start, its EOS, and truncation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rewards.encoding.encoder import Encoder, OverLong
from rewards.encoding.packs import pack
from rewards.errors import DataError, ModelError
from rewards.records import Prompt
from rewards.training.objectives import PACK_TOKENS

CUT = "length"
"""What a row's finish reason says of a response that was cut off."""


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """A prompt and a response as tokens.

    Attributes:
        tokens: Prompt, response, and EOS unless it was truncated, [T].
        start: Index of the response's first token; 0 where no token precedes it.
    """

    tokens: tuple[int, ...]
    start: int

    @property
    def length(self) -> int:
        """Tokens of the response, EOS included."""
        return len(self.tokens) - self.start


class ResponseEncoder:
    """Turns prompts and responses into tokens exactly one way, which training and the implicit reward share.

    They are tokenised jointly, messages by the chat template. A response ends with the template's own end of
    the turn, and nothing after it, or with the tokenizer's EOS; a truncated one gets no EOS.

    Args:
        tokenizer: The policy's tokenizer.
        max_length: Most tokens in a row.
        end_tokens: Tokens at which the policy stops.
        eos: Whether responses end with one at all.

    Raises:
        ModelError: Responses end with EOS, and the tokenizer has none.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401  # no public base type for both backends
        max_length: int,
        end_tokens: frozenset[int] = frozenset(),
        eos: bool = True,
    ) -> None:
        if eos and tokenizer.eos_token_id is None:
            raise ModelError(
                f"the tokenizer {tokenizer.name_or_path!r} has no EOS token, from which a policy learns "
                "where a response ends; set its eos_token"
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._encoder = Encoder(tokenizer, append_eos=False, max_length=max_length)
        self._ends = end_tokens | ({tokenizer.eos_token_id} - {None})
        self._eos = eos

    def encode(
        self, prompts: Sequence[Prompt], responses: Sequence[str], cut: Sequence[bool]
    ) -> list[ResponseRow]:
        """Return each row, without a limit of length.

        Args:
            prompts: The prompt of each row.
            responses: Its response.
            cut: Whether it was truncated, so that it gets no EOS.

        Raises:
            ModelError: A prompt of messages, and the tokenizer has no chat template.
            ScoringError: A row without any token.
        """
        rows = []
        encoded = self._encoder.encode(prompts, responses)
        for row, prompt, unfinished in zip(encoded, prompts, cut, strict=True):
            start = self._encoder.response_start(row, prompt)
            if isinstance(prompt, str) and start == len(row) and row[-1] in self._ends:
                start -= 1  # this tokenizer puts EOS behind any text, and the response is empty
            rows.append(ResponseRow(tuple(self._ended(row, start, unfinished)), start))
        return rows

    def _ended(self, row: list[int], start: int, cut: bool) -> list[int]:
        """Return a row up to its response's EOS, which is appended where missing."""
        place = next((n for n in range(len(row) - 1, start - 1, -1) if row[n] in self._ends), None)
        # Templates break the line behind the end of a turn; a policy has stopped by then.
        ended = place is not None and not self.tokenizer.decode(row[place + 1 :]).strip()
        if cut or not self._eos:
            return row[:place] if ended else row
        return row[: place + 1] if ended and place is not None else [*row, self.tokenizer.eos_token_id]

    def limit(self, rows: Sequence[ResponseRow], over_long: OverLong, name: str) -> list[ResponseRow] | None:
        """Return rows of one prompt within the model's context; None where they are dropped.

        Where one is too long, all lose the same tokens on the left of the prompt, after BOS, and keep one
        before the response.

        Raises:
            DataError: One is too long and `over_long` is error.
        """
        excess = max(len(row.tokens) for row in rows) - self.max_length
        if excess <= 0:
            return list(rows)
        if over_long == "error":
            raise DataError(
                f"{name}: has {self.max_length + excess} tokens and the model takes {self.max_length}; "
                "--training.over_long truncate_left or drop deals with such rows"
            )
        begin = int(rows[0].tokens[0] in (self.tokenizer.bos_token_id, self.tokenizer.cls_token_id))
        room = min(row.start for row in rows) - max(1, begin)
        if over_long == "drop" or room < excess:
            return None
        return [
            replace(
                row,
                tokens=(*row.tokens[:begin], *row.tokens[begin + excess :]),
                start=row.start - excess,
            )
            for row in rows
        ]


def was_cut(extra: Mapping[str, object], *columns: str) -> bool:
    """Return whether a column records that a response was truncated at its most tokens."""
    return any(extra.get(column) == CUT for column in columns)


def response_batch(rows: Sequence[ResponseRow], packed: bool) -> dict[str, Any]:
    """Return rows as a batch for a `LanguageModel`, packed where the model can be."""
    # Of arrays Trainer leaves the inside alone, where it walks through every number of a list.
    arrays: list[Any] = [np.asarray(row.tokens, dtype=np.int64) for row in rows]
    return {
        "packs": list(pack(arrays, PACK_TOKENS)) if packed else None,
        "rows": arrays,
        "starts": [row.start for row in rows],
    }
