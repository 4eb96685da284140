"""Text to tokens: prompt and response rendered, joined, tokenised once; one rule for over-long rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rewards.errors import DataError, ModelError, ScoringError
from rewards.records import Message, Prompt

OverLong = Literal["error", "truncate_left", "drop"]


@dataclass(frozen=True, slots=True)
class Located:
    """A row's tokens, and which characters of the response each covers.

    Attributes:
        tokens: [T].
        offsets: Where each token begins and ends (exclusive) in the response, in characters, [T, 2]; 0 or
            less in the prompt, of equal ends where it covers nothing.
    """

    tokens: list[int]
    offsets: NDArray[np.int64]


class Encoder:
    """Turns rows into tokens exactly one way, which training and scoring share.

    A prompt of messages is rendered by the chat template, with the response as the assistant's turn; a prompt
    of text is continued by the response as it is. The whole is tokenised jointly. BOS never stands twice. EOS
    is appended only where asked.
    """

    def __init__(self, tokenizer: Any, append_eos: bool, max_length: int) -> None:  # noqa: ANN401  # no public type
        self.tokenizer = tokenizer
        self.append_eos = append_eos
        self.max_length = max_length
        """Most tokens in a row."""
        self._alone: tuple[Prompt, list[int]] | None = None
        if append_eos and tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no EOS token to append; use ?eos=false or set its eos_token")

    def encode(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[list[int]]:
        """Return each row's tokens, untruncated.

        Raises:
            ModelError: A prompt of messages, and the tokenizer has no chat template.
            ScoringError: A row without any token.
        """
        rendered = [isinstance(prompt, tuple) for prompt in prompts]
        texts = [self._text(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        rows: list[list[int]] = [[] for _ in texts]
        for special in (False, True):  # a chat template writes the special tokens itself
            chosen = [number for number, messages in enumerate(rendered) if messages != special]
            if chosen:
                batch = [texts[number] for number in chosen]
                encoded = self.tokenizer(
                    batch, add_special_tokens=special, return_attention_mask=False, verbose=False
                )
                for number, ids in zip(chosen, encoded["input_ids"], strict=True):
                    rows[number] = self._finish(list(ids))
        for row, text in zip(rows, texts, strict=True):
            if not row:
                raise ScoringError(f"the row {text[:40]!r} has no tokens; there is nothing to score")
        return rows

    def locate(
        self, prompts: Sequence[Prompt], responses: Sequence[str], names: Sequence[str]
    ) -> list[Located]:
        """Return each row's tokens with their character offsets, untruncated and without EOS.

        Args:
            prompts: The prompt of each row.
            responses: Its response.
            names: Each row's name in an error.

        Raises:
            ModelError: The tokenizer gives no offsets, or has no chat template for messages.
            DataError: The chat template changes the response, so that offsets into it are lost.
        """
        require_offsets(self.tokenizer)
        texts = [self._text(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        begins = self._begins(prompts, responses, texts, names)
        located: list[Located | None] = [None] * len(texts)
        for special in (False, True):
            chosen = [n for n, prompt in enumerate(prompts) if isinstance(prompt, str) == special]
            if not chosen:
                continue
            encoded = self.tokenizer(
                [texts[number] for number in chosen],
                add_special_tokens=special,
                return_attention_mask=False,
                return_offsets_mapping=True,
                verbose=False,
            )
            for number, ids, offsets in zip(
                chosen, encoded["input_ids"], encoded["offset_mapping"], strict=True
            ):
                kept = self._one_bos(list(ids))
                spans = np.array(offsets[len(ids) - len(kept) :], dtype=np.int64).reshape(-1, 2)
                located[number] = Located(kept, spans - begins[number])
        return [row for row in located if row is not None]

    def _begins(
        self, prompts: Sequence[Prompt], responses: Sequence[str], texts: Sequence[str], names: Sequence[str]
    ) -> list[int]:
        """Return at which character of each text its response begins."""
        openings: dict[Prompt, str] = {}
        begins = []
        for prompt, response, text, name in zip(prompts, responses, texts, names, strict=True):
            if prompt not in openings:
                openings[prompt] = self._prompt_text(prompt)
            opening = openings[prompt]
            # Some templates open a turn differently from how they write a finished turn.
            begin = len(opening) if text.startswith(opening + response) else text.rfind(response)
            if begin < 0:
                raise DataError(
                    f"{name}: the chat template changes the response (perhaps its white space), so that "
                    "its steps or spans cannot be found; give the prompt as a text, or another separator"
                )
            begins.append(begin)
        return begins

    def _text(self, prompt: Prompt, response: str) -> str:
        if isinstance(prompt, str):
            return prompt + response
        turns = [*prompt, Message("assistant", response)]
        if self.tokenizer.chat_template is None:
            raise ModelError(
                f"the tokenizer {self.tokenizer.name_or_path!r} has no chat template, which prompts of "
                "messages need; give prompts as text, or a tokenizer that has one"
            )
        text: str = self.tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in turns], tokenize=False
        )
        return text

    def _finish(self, ids: list[int]) -> list[int]:
        ids, eos = self._one_bos(ids), self.tokenizer.eos_token_id
        if self.append_eos and ids[-1:] != [eos]:
            ids.append(eos)
        return ids

    def _one_bos(self, ids: list[int]) -> list[int]:
        bos = self.tokenizer.bos_token_id
        # The text began with BOS, and the tokenizer added it.
        return ids[1:] if bos is not None and ids[:2] == [bos, bos] else ids

    def shorten(self, row: list[int], prompt: Prompt, by: int, name: str) -> list[int]:
        """Cut `by` tokens from the left of a row's prompt, after its BOS or CLS.

        Raises:
            DataError: The prompt has fewer tokens than `by`; the response would be cut.
        """
        room = self.cuttable(row, prompt)
        if by > room:
            raise DataError(
                f"{name}: without its prompt the row still has {len(row) - room} tokens and the model takes "
                f"{self.max_length}; leave it out or use a model with a longer context"
            )
        keep = self._opening(row)
        return row[:keep] + row[keep + by :]

    def limit(self, row: list[int], prompt: Prompt, over_long: OverLong, name: str) -> list[int] | None:
        """Return a row that fits the context: unchanged, or its prompt truncated; None if it is dropped.

        Raises:
            DataError: It is too long and `over_long` is error.
        """
        excess = len(row) - self.max_length
        if excess <= 0:
            return row
        if over_long == "error":
            raise DataError(
                f"{self.too_long(row, name)}; --training.over_long truncate_left or drop deals with such rows"
            )
        if over_long == "drop" or self.cuttable(row, prompt) < excess:
            return None
        return self.shorten(row, prompt, excess, name)

    def too_long(self, row: list[int], name: str) -> str:
        """Return the error message for a row that is too long."""
        return f"{name}: has {len(row)} tokens and the model takes {self.max_length}"

    def cuttable(self, row: list[int], prompt: Prompt) -> int:
        """Return how many prompt tokens of a row can be truncated, BOS or CLS aside."""
        alone = self._prompt_alone(prompt)
        shared = 0
        for mine, other in zip(row, alone, strict=False):  # the longer one goes on
            if mine != other:
                break
            shared += 1
        return shared - self._opening(row)

    def _prompt_alone(self, prompt: Prompt) -> list[int]:
        if self._alone is None or self._alone[0] != prompt:  # rows of one prompt mostly stand together
            text = self._prompt_text(prompt)
            encoded = self.tokenizer(text, add_special_tokens=isinstance(prompt, str), verbose=False)
            ids = list(encoded["input_ids"])
            self._alone = prompt, self._one_bos(ids) if isinstance(prompt, str) else ids
        return self._alone[1]

    def _prompt_text(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return text

    def response_start(self, row: list[int], prompt: Prompt) -> int:
        """Return the position of the response's first token in an untruncated row."""
        return self._opening(row) + self.cuttable(row, prompt)

    def _opening(self, row: list[int]) -> int:
        """Return how many special tokens stand before the text: 1 or 0."""
        return int(row[0] in (self.tokenizer.bos_token_id, self.tokenizer.cls_token_id))


def require_offsets(tokenizer: Any) -> None:  # noqa: ANN401  # no public base type for both backends
    """Refuse a tokenizer without character offsets.

    Raises:
        ModelError: It has none.
    """
    if not getattr(tokenizer, "is_fast", False):
        name = getattr(tokenizer, "name_or_path", "")
        raise ModelError(f"the tokenizer {name!r} is not of the fast kind; steps and spans need its offsets")
