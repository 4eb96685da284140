"""Tokenises prompts, decodes responses, and finds stop sequences."""

from collections.abc import Iterable, Sequence
from itertools import islice

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from rewards.errors import DataError, ModelError
from rewards.records import Message, Prompt

ANCHOR = 8
"""Tokens of the prompt that are decoded with a response: enough for spaces and bytes at the seam."""


class TextCodec:
    """Encodes prompts and decodes responses with one tokenizer.

    Args:
        tokenizer: The policy's tokenizer.
        name: The model's name in error messages.
        end_tokens: Tokens that end a response; they are not in its text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str, end_tokens: frozenset[int]) -> None:
        self.tokenizer = tokenizer
        self.name = name
        self.end_tokens = end_tokens
        self._special = frozenset(tokenizer.all_special_ids)

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the tokens that the response continues.

        Messages are rendered by the tokenizer's chat template up to where the answer begins. A text gets the
        special tokens that the tokenizer puts before a text, but no second BOS and no EOS after it.

        Raises:
            ModelError: There are messages, but no chat template.
            DataError: The template refuses the messages, or there are no tokens.
        """
        if isinstance(prompt, str):
            tokens = self._without_ending(prompt, self.tokenizer(prompt, verbose=False)["input_ids"])
        else:
            rendered = self._render(prompt)
            tokens = self.tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]
        begin = self.tokenizer.bos_token_id
        if begin is not None and tokens[:2] == [begin, begin]:
            tokens = tokens[1:]
        if not tokens:
            raise DataError("the prompt has no tokens, and the tokenizer puts none before a text")
        return tokens

    def _without_ending(self, prompt: str, tokens: list[int]) -> list[int]:
        """Drop the special tokens that a tokenizer appends: the response goes there."""
        if not tokens or tokens[-1] not in self._special:
            return tokens
        plain = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if plain:
            starts = (i for i in range(len(tokens)) if tokens[i : i + len(plain)] == plain)
            added = next(starts, len(tokens))
            return tokens[: added + len(plain)]
        return [token for token in tokens if token == self.tokenizer.bos_token_id]

    def _render(self, prompt: tuple[Message, ...]) -> str:
        if not self.tokenizer.chat_template:
            raise ModelError(
                f"{self.name}: the tokenizer has no chat template, which a prompt of messages needs; "
                "put chat_template.jinja into the model's folder, or give the prompts as texts"
            )
        messages = [{"role": turn.role, "content": turn.content} for turn in prompt]
        try:
            rendered = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        except (ValueError, TemplateError) as error:
            raise DataError(f"the chat template of {self.name} refuses the messages: {error}") from error
        return str(rendered)

    def responses(self, prompts: Sequence[Sequence[int]], sampled: Sequence[Sequence[int]]) -> list[str]:
        """Return the responses that sampled tokens decode to.

        Tokens are decoded together with the prompt's last ones, so that `prompt + response` reads as the
        model wrote it: decoded alone, a first word would lose the space before it. Special tokens, the
        ending one included, are no text.

        Args:
            prompts: Tokens of each response's prompt.
            sampled: Its sampled tokens.
        """
        anchors = [tuple(prompt[-ANCHOR:]) for prompt in prompts]
        distinct = list(dict.fromkeys(anchors))
        starts = dict(zip(distinct, self._decode(distinct), strict=True))
        inner = [self._inner(tokens) for tokens in sampled]
        joint = self._decode([[*a, *tokens] for a, tokens in zip(anchors, inner, strict=True)])
        texts = []
        for anchor, tokens, text in zip(anchors, inner, joint, strict=True):
            start = starts[anchor]
            # Half a character in byte tokens can garble those before it; then nothing was before it to lose.
            texts.append(text[len(start) :] if text.startswith(start) else self._decode([tokens])[0])
        return texts

    def _inner(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[:-1] if tokens and tokens[-1] in self.end_tokens else tokens

    def _decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        listed = [list(row) for row in rows]
        if not listed:
            return []  # the tokenizer reads no rows as one empty row
        # Cleaning up would move spaces at the seam, which makes the joint text begin unlike the prompt.
        return list(
            self.tokenizer.batch_decode(listed, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def tail(self, tokens: Sequence[int], length: int) -> list[int]:
        """Return the last `length` tokens that are text, in order, special ones left out."""
        spoken = (token for token in reversed(tokens) if token not in self._special)
        return list(islice(spoken, length))[::-1]


class StopTexts:
    """Finds stop sequences in responses during decoding.

    Args:
        texts: The tokenizer's texts.
        stop: The stop sequences, none empty.
    """

    def __init__(self, texts: TextCodec, stop: Sequence[str]) -> None:
        self.texts = texts
        self.stop = tuple(stop)
        # A token that is text holds a byte or more, so this many reach over every stop text that ends with
        # the newest; three more, as the first of them may begin inside a character.
        self._reach = max((len(text.encode()) for text in stop), default=0) + 3

    def found(self, prompts: Sequence[Sequence[int]], sampled: Sequence[Sequence[int]]) -> list[bool]:
        """Return which responses hold a stop sequence that the newest token may have completed.

        Args:
            prompts: Tokens of each response's prompt.
            sampled: Its sampled tokens.
        """
        anchors, tails = [], []
        for prompt, tokens in zip(prompts, sampled, strict=True):
            tail = self.texts.tail(tokens, self._reach + 1)
            whole = len(tail) <= self._reach
            # Within a response the token before the tail is the anchor, at its beginning the prompt is.
            anchors.append(prompt if whole else tail[:1])
            tails.append(tail if whole else tail[1:])
        return [self.cut(text) != text for text in self.texts.responses(anchors, tails)]

    def cut(self, text: str) -> str:
        """Return the text before the first stop sequence."""
        ends = [text.find(stop) for stop in self.stop if stop in text]
        return text[: min(ends)] if ends else text
