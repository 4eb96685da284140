"""Anthropic's helpful and harmless pairs: whole dialogues, split into the prompt and two responses.

Source: `Anthropic/hh-rlhf` on the Hub, or its `train.jsonl.gz` and `test.jsonl.gz` files; MIT licence.
Bai et al. 2022, "Training a Helpful and Harmless Assistant with Reinforcement Learning from Human Feedback".
"""

from rewards.errors import DataError
from rewards.files import Row
from rewards.records import Preference

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"


def is_dialogue(value: object) -> bool:
    """Return whether a value is a whole dialogue: a text in which both sides speak."""
    return isinstance(value, str) and HUMAN in value and ASSISTANT in value


def final_turn(text: str) -> str:
    """Return the text after the last assistant marker; the whole text if there is no marker.

    It is the same for a dialogue and for the response that `hh_preference` cut from it. By its length,
    strictly, the longer side is the chosen one in 59.56 % of the helpful-base and 44.25 % of the
    harmless-base test pairs.
    """
    return text.rsplit(ASSISTANT, 1)[-1]


def hh_preference(row: Row) -> Preference:
    """Return the preference of a row `{chosen, rejected}` of whole dialogues.

    The prompt ends with the last mark of the assistant's turn that both dialogues reach alike, so that
    `prompt + chosen` and `prompt + rejected` are the dialogues, character by character: responses keep
    their leading space, and where the dialogues part before their final turn, all turns after that.

    Raises:
        DataError: A column is missing or is no dialogue, or the two share no turn of the assistant.
    """
    chosen, rejected = _dialogue(row, "chosen"), _dialogue(row, "rejected")
    chosen_turns, rejected_turns = chosen.split(ASSISTANT), rejected.split(ASSISTANT)
    reached = min(len(chosen_turns), len(rejected_turns)) - 1
    shared = next((k for k in range(reached) if chosen_turns[k] != rejected_turns[k]), reached)
    if not shared:
        raise DataError(f"{row.where}: fields 'chosen' and 'rejected' share no turn of the assistant")
    end = sum(len(turn) + len(ASSISTANT) for turn in chosen_turns[:shared])
    extra = {name: value for name, value in row.values.items() if name not in ("chosen", "rejected", "id")}
    return Preference(chosen[:end], chosen[end:], rejected[end:], 0.0, row.id(), extra)


def _dialogue(row: Row, field: str) -> str:
    value = row.column(field)
    if not isinstance(value, str) or not is_dialogue(value):
        raise row.expected(field, "a dialogue of '\\n\\nHuman:' and '\\n\\nAssistant:' turns", value)
    return value
