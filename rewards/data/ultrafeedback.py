"""UltraFeedback: four answers rated by GPT-4, as rankings, and its binarized pairs.

Sources: `openbmb/UltraFeedback` (MIT licence; its `overall_score` was corrected in December 2023) and
`HuggingFaceH4/ultrafeedback_binarized` (MIT licence), split `train_prefs`.
Cui et al. 2023, "UltraFeedback: Boosting Language Models with High-quality Feedback".
"""

from collections.abc import Sequence

from rewards.errors import DataError
from rewards.files import Row, preference
from rewards.records import Message, Preference, Ranking


def ultrafeedback_ranking(row: Row) -> Ranking | None:
    """Return the ranking of a row `{instruction, completions: [{response, overall_score, ...}], ...}`.

    Ranks follow `overall_score`; equal scores are ties. `extra` holds, in the order of the responses,
    `overall_scores`, `models` and `aspects` (the rating of each annotated aspect from 1 to 5, None where it
    is "N/A"), and the row's other columns.

    Returns:
        The ranking, or None for a row with fewer than two completions, of which the data set has a few.

    Raises:
        DataError: A column is missing or not of its type.
    """
    instruction = row.column("instruction")
    if not isinstance(instruction, str):
        raise row.expected("instruction", "a text", instruction)
    completions = [_completion(row, item) for item in row.list_in("completions")]
    if len(completions) < 2:
        return None
    scores = [_score(row, completion.get("overall_score")) for completion in completions]
    extra = {
        name: row.values[name] for name in row.values if name not in ("instruction", "completions", "id")
    }
    extra["overall_scores"] = scores
    extra["models"] = [completion.get("model") for completion in completions]
    extra["aspects"] = [_aspects(row, completion.get("annotations")) for completion in completions]
    prompt = (Message("user", instruction),)
    responses = tuple(str(completion["response"]) for completion in completions)
    return Ranking(prompt, responses, ranks_of(scores), row.id(), extra)


def binarized_preference(row: Row) -> Preference:
    """Return the preference of a row `{prompt, chosen: [messages], rejected: [messages], score_chosen, ...}`.

    The prompt is the user's message; the margin stays 0, as scores of 1 to 10 are no logits, and the scores
    travel in `extra`. The column `messages`, which repeats `chosen`, is left out where it does.

    Raises:
        DataError: A column is missing or not of its type.
    """
    values = dict(row.values)
    if values.get("messages") == values.get("chosen"):
        values.pop("messages", None)
    pair = preference(Row(values, row.source, row.number))
    if isinstance(pair.prompt, str):
        raise DataError(f"{row.where}: fields 'chosen' and 'rejected': expected whole conversations")
    return pair


def ranks_of(scores: Sequence[float]) -> tuple[int, ...]:
    """Return the ranks of scores: 1 for the highest, equal scores share the better rank (1, 2, 2, 4)."""
    return tuple(1 + sum(other > score for other in scores) for score in scores)


def _completion(row: Row, item: object) -> dict[str, object]:
    if not isinstance(item, dict) or not isinstance(item.get("response"), str):
        raise row.expected("completions", "completions of the form {response: text, ...}", item)
    return item


def _score(row: Row, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise row.expected("completions", "a number in 'overall_score'", value)
    return float(value)


def _aspects(row: Row, annotations: object) -> dict[str, float | None]:
    if annotations is None:
        return {}
    if not isinstance(annotations, dict):
        raise row.expected("completions", "an object of aspects in 'annotations'", annotations)
    return {
        aspect: _rating(row, aspect, annotation)
        for aspect, annotation in annotations.items()
        if annotation is not None
    }


def _rating(row: Row, aspect: str, annotation: object) -> float | None:
    rating = annotation.get("Rating") if isinstance(annotation, dict) else annotation
    if rating is None or rating == "N/A":
        return None
    try:
        return float(str(rating))
    except ValueError:
        raise row.expected("completions", f"a number or 'N/A' as the Rating of {aspect!r}", rating) from None
