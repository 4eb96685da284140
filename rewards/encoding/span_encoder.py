"""Responses to tokens, and the token at which each piece ends, by the density of each aspect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewards.config import Density
from rewards.encoding.alignment import end_tokens
from rewards.encoding.encoder import Encoder
from rewards.encoding.segments import cut
from rewards.records import Prompt

NOWHERE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A response's tokens up to the last scored token, and the pieces in which its aspects are scored.

    Attributes:
        tokens: [T].
        places: Tokens that are read, rising, each once, [n].
        spans: For each aspect the pieces of its density: start and end in characters.
        reads: For each aspect, which of `places` reads each piece.
    """

    tokens: tuple[int, ...]
    places: tuple[int, ...]
    spans: tuple[tuple[tuple[int, int], ...], ...]
    reads: tuple[tuple[int, ...], ...]


class SpanEncoder:
    """Turns responses into tokens, each piece of them read at the token where it ends.

    Args:
        encoder: Text to tokens; its EOS is not appended.
        densities: How finely each aspect is scored, in the order of the model's heads.
    """

    def __init__(self, encoder: Encoder, densities: Sequence[Density]) -> None:
        self.encoder = encoder
        self.densities = tuple(densities)

    def encode(
        self, prompts: Sequence[Prompt], responses: Sequence[str], names: Sequence[str]
    ) -> list[Pieces | None]:
        """Return each response's tokens, untruncated, and its pieces; None if it has no piece.

        A response of white space has no sentence, and where nothing is scored as a whole no piece at all. As
        a whole every response is one piece, be it empty.

        Args:
            prompts: The prompt of each response.
            responses: The responses.
            names: Their names in errors.

        Raises:
            DataError: A chat template changes the response, so that offsets into it are lost.
        """
        located = self.encoder.locate(prompts, responses, names)
        encoded: list[Pieces | None] = []
        for row, response in zip(located, responses, strict=True):
            cuts = {density: cut(response, density) for density in dict.fromkeys(self.densities)}
            if not any(cuts.values()):
                encoded.append(None)
                continue
            at = {
                density: end_tokens(row.offsets, [end for _, end in pieces]) if pieces else NOWHERE
                for density, pieces in cuts.items()
            }
            places = np.unique(np.concatenate(list(at.values())))
            reads = tuple(tuple(np.searchsorted(places, at[density]).tolist()) for density in self.densities)
            tokens = tuple(row.tokens[: int(places[-1]) + 1])
            spans = tuple(cuts[density] for density in self.densities)
            encoded.append(Pieces(tokens, tuple(places.tolist()), spans, reads))
        return encoded
