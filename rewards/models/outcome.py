"""Outcome reward models: a head on a Transformers body, and the token at which a score is read."""

from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel

from rewards.encoding.packs import Pack, Tokens
from rewards.models.head import HeadedModel, unwrapped


def last_read(tokens: Tokens, pad: int | None) -> int:
    """Return at which token Transformers reads a sequence's score: the last that is not padding.

    Where the text ends in the padding token itself (a tokenizer that pads with EOS, and an EOS appended),
    that is before the end, and a folder trained so must be read so.
    """
    if pad is not None:
        for place in range(len(tokens) - 1, -1, -1):
            if tokens[place] != pad:
                return place
        return 0  # nothing but padding: there Transformers reads the first token
    return len(tokens) - 1


class SequenceModel(HeadedModel):
    """Scores rows of tokens with an `AutoModelForSequenceClassification`, read at the last token.

    Transformers pools an encoder in its own way, and so does this.
    """

    def __init__(self, classifier: PreTrainedModel) -> None:
        super().__init__(classifier, "score" if hasattr(unwrapped(classifier), "score") else "")

    @property
    def reads_last(self) -> bool:
        """Whether the score is read at the last token."""
        return bool(self.head)


class RewardModel(SequenceModel):
    """An outcome reward model: one score for a row."""

    def forward(self, packs: Sequence[Pack] | None, rows: Sequence[Tokens]) -> Tensor:
        """Return the rows' raw logits, [R], float32; from packs that hold all of them, or padded without."""
        return self.logits(packs, rows)[:, 0]


class AspectModel(SequenceModel):
    """A reward model of several aspects: K scores for a row."""

    def forward(self, packs: Sequence[Pack] | None, rows: Sequence[Tokens]) -> Tensor:
        """Return the rows' raw outputs, [R, K], float32; from packs of all of them, or padded."""
        return self.logits(packs, rows)
