"""Token-level reward models: scores at the end of each step, or of each piece of a response."""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from rewards.encoding.packs import Integers, Pack, Tokens
from rewards.models.head import HeadedModel, unwrapped

RIGHT = 1
"""The class of a right step among a process model's two, as in TRL."""
STEP_CLASSES = ("wrong", "right")


class TokenModel(HeadedModel):
    """Scores tokens of rows with an `AutoModelForTokenClassification`."""

    adapter_task = "TOKEN_CLS"

    def __init__(self, classifier: PreTrainedModel) -> None:
        super().__init__(classifier, _head(unwrapped(classifier)))

    def forward(
        self, packs: Sequence[Pack] | None, rows: Sequence[Tokens], positions: Sequence[Integers]
    ) -> Tensor:
        """Return the raw outputs at tokens of the rows, [M, C], float32, row after row.

        Args:
            packs: Packs that hold all rows; None pads them.
            rows: Tokens of each row.
            positions: Which tokens of each row are read, M in all.
        """
        return self.logits(packs, rows, positions)


def _head(classifier: PreTrainedModel) -> str:
    """Return the name of a linear head; empty where more layers stand between body and head."""
    for name in ("score", "classifier"):
        head = getattr(classifier, name, None)
        head = getattr(head, "original_module", head)  # peft wraps a head that it saves
        if isinstance(head, nn.Linear) and not hasattr(classifier, "head"):
            return name
    return ""
