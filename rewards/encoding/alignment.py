"""Character offsets to token positions under any tokenizer: where a span's reward is paid in a rollout."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.encoding.encoder import Encoder
from rewards.errors import DataError
from rewards.records import Prompt, Span

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def end_tokens(offsets: ArrayLike, ends: ArrayLike) -> Integers:
    """Return the token at which each span ends: the first at which all of the span has been written.

    It is the token that holds the span's last character; of several that share that character (the bytes
    of one character), the last. A token that goes on past the span's end counts as its end, for there is
    no earlier one that holds all of it. Where no token holds that character (white space that the tokenizer
    drops), it is the nearest token before, and where there is none in the response, the response's first.
    Tokens without width, such as BOS and EOS, and tokens of the prompt, whose offsets are 0 or less, are
    passed over; where no other is left, as of an empty response, it is the last token of all.

    Args:
        offsets: [tokens, 2] each token's start and end (exclusive) in characters of the response, as
            `response_offsets` gives them, or a fast tokenizer's offset mapping of the response alone.
        ends: [n] ends of spans in characters of the response, exclusive. Let a span end before white space,
            as `segments.cut` does: many tokenizers give the space to the word that follows.

    Returns:
        [n] token positions.

    Raises:
        DataError: There are no tokens, the offsets are not pairs, one ends before it starts, or an end is
            negative.
    """
    tokens, places = _checked(offsets), np.asarray(ends, dtype=np.int64).reshape(-1)
    if (places < 0).any():
        raise DataError(f"a span's end is 0 or more, got {int(places.min())}")
    starts, stops = tokens.T
    holding = np.flatnonzero((stops > starts) & (stops > 0))
    if not len(holding):
        return np.full(len(places), len(tokens) - 1, dtype=np.int64)
    # The last token that starts before a place; the least start from each token on rises even where a
    # normaliser has reordered characters.
    least = np.minimum.accumulate(starts[holding][::-1])[::-1]
    last = np.searchsorted(least, places, side="left") - 1
    return np.asarray(holding[np.maximum(last, 0)], dtype=np.int64)


def token_rewards(offsets: ArrayLike, spans: Sequence[Span], length: int = 0) -> Floats:
    """Return each token's reward: the sum of the labels of the spans that end at it.

    r_t = sum over aspects and segments of 1[t = end of the segment] R, as in Fine-Grained RLHF (Wu et al.
    2023, 2306.01693) before the KL penalty. The rewards sum to the labels. To weigh aspects, give spans
    whose labels are weighed.

    Args:
        offsets: [tokens, 2] as for `end_tokens`.
        spans: Spans of the response; their ends say where, their labels how much.
        length: Tokens in the result, which may be more than have offsets: an EOS that was sampled, and
            padding, earn nothing. 0 takes as many as have offsets.

    Returns:
        [length] rewards.

    Raises:
        DataError: As `end_tokens`, or the length is less than there are offsets.
    """
    tokens = _checked(offsets)
    size = length or len(tokens)
    if size < len(tokens):
        raise DataError(f"{len(tokens)} tokens have offsets, so the length is no less; got {length}")
    rewards = np.zeros(size)
    np.add.at(rewards, end_tokens(tokens, [span.end for span in spans]), [span.label for span in spans])
    return rewards


def response_offsets(tokenizer: Any, prompt: Prompt, response: str) -> Integers:  # noqa: ANN401  # no public type
    """Return the offsets of the tokens of prompt and response, in characters of the response: [tokens, 2].

    The text is joined, rendered and tokenised as for scoring: messages by the chat template, BOS never
    twice, no EOS added. Tokens of the prompt have offsets of 0 or less; one that begins in the prompt and
    ends in the response starts below 0.

    Raises:
        ModelError: The tokenizer gives no offsets, or has no chat template where there are messages.
        DataError: Its template changes the response.
    """
    encoder = Encoder(tokenizer, append_eos=False, max_length=0)  # which lengthens and shortens nothing here
    (located,) = encoder.locate([prompt], [response], [f"the response {response[:40]!r}"])
    return located.offsets


def _checked(offsets: ArrayLike) -> Integers:
    tokens = np.asarray(offsets, dtype=np.int64)
    if tokens.ndim != 2 or tokens.shape[1] != 2 or not len(tokens):
        raise DataError(f"offsets are [tokens, 2] with a token or more, got shape {tokens.shape}")
    if (tokens[:, 1] < tokens[:, 0]).any():
        place = int(np.argmax(tokens[:, 1] < tokens[:, 0]))
        raise DataError(f"a token's start is not past its end, got {tokens[place].tolist()} at {place}")
    return tokens
