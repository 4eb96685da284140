"""How sure a judge was of its verdict, from the log-probabilities of its reply's tokens."""

import math
from collections.abc import Sequence

from judges.questions.reply import Reply, Token

LEAST_MASS = 0.5
"""A preference is given only where the verdicts on offer have more than this probability together."""


def verdict_preference(reply: Reply, place: int, letters: Sequence[str]) -> float | None:
    """Return the probability that the response shown first is better.

    It is (P(A) + P(C)/2) / (P(A) + P(B) + P(C)) at the token that holds the verdict's letter, as AlpacaEval
    2 takes it (with A and B alone). A letter that the endpoint does not list has probability 0; ` A` and
    `A` are one letter.

    Args:
        reply: The reply, with its tokens.
        place: Where the verdict's letter stands in the reply's text.
        letters: The verdicts on offer: A, B and perhaps C.

    Returns:
        None where there are no tokens, or none with the letter; where the endpoint lists no alternatives
        there; or where the letters have LEAST_MASS together or less.
    """
    joined = "".join(token.text for token in reply.tokens)
    if not joined.startswith(reply.text):  # it holds a thought besides, or lacks white space
        place = joined.rfind(reply.text[place:])
    start = 0
    for token in reply.tokens if place >= 0 else ():
        if place < start + len(token.text):
            return _letter_preference(token, place - start, letters)
        start += len(token.text)
    return None


def _letter_preference(token: Token, place: int, letters: Sequence[str]) -> float | None:
    # A tokenizer may merge the letter with its brackets: its alternatives are then merged alike.
    before, after = token.text[:place], token.text[place + 1 :]
    mass = dict.fromkeys("ABC", 0.0)
    for letter in letters:
        wanted = f"{before}{letter}{after}".strip()
        found = [value for text, value in token.alternatives.items() if text.strip() == wanted]
        mass[letter] = math.fsum(math.exp(value) for value in found if value <= 0)
    total = mass["A"] + mass["B"] + mass["C"]
    if len(token.alternatives) < 2 or total <= LEAST_MASS:
        return None
    return min(1.0, (mass["A"] + mass["C"] / 2) / total)
