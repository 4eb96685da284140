"""QA-Feedback of Fine-Grained RLHF: error spans and missing facts in an answer, and preferences of four.

Source: `train_feedback.json` and `dev_feedback.json` under `tasks/qa_feedback/data` of the repository
`allenai/FineGrainedRLHF`; Apache-2.0 licence. Wu et al. 2023, "Fine-Grained Human Feedback Gives Better
Rewards for Language Model Training" (2306.01693), section 4.

What the files do not document, derived from the 500 rows of the dev file:

- The feedback is on `prediction 1`: all 1373 error spans lie in it and begin and end at the edges of words,
  while a quarter runs over the end of each other prediction.
- `preference` holds the pairs 1-2, 1-3, 1-4, 2-3, 2-4, 3-4: in this order they contradict themselves
  58 times over three predictions (a circle, or a tie whose sides differ against a third), in any other
  but its mirror image 390 times or more. 1 says that the first of the pair is better: among pairs with
  a winner, the winner then shares more words with the reference in 65 %.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from rewards.data.streams import id_of
from rewards.files import Row
from rewards.records import Preference, Span, SpanLabels

ASPECTS = ("relevance", "factuality", "completeness")
"""C1, C2 and C3 of the paper."""

ASPECT_OF = {
    "Irrelevant": "relevance",
    "Redundant": "relevance",
    "Incoherent": "relevance",
    "Wrong-Grounding": "factuality",
    "Unverifiable": "factuality",
}
"""The aspect of each error type: C1 irrelevant, repeated, incoherent; C2 inconsistent or unverifiable."""

PAIRS = tuple(combinations(range(1, 5), 2))
"""The predictions that the six entries of `preference` compare, in order."""

ANNOTATED = "prediction 1"


def qa_prompt(row: Row) -> str:
    r"""Return the prompt of the predictions.

    It is "question: QUESTION context: wikipage: TITLE text: SENTENCES wikipage: TITLE text: ... answer:\n",
    with runs of white space within it made one space; without passages there is no "context:" part.

    Raises:
        DataError: A column is missing or not of its type.
    """
    passages = []
    for passage in row.list_in("passages"):
        title, *sentences = row.texts("passages", passage) or ("",)
        passages.append(f"wikipage: {title} text: {' '.join(sentences)}")
    parts = ["question:", _text(row, "question"), *(["context:", *passages] if passages else []), "answer:"]
    return " ".join(" ".join(parts).split()) + "\n"


def qa_feedback_spans(row: Row) -> SpanLabels:
    """Return the faults marked in the annotated prediction, as spans of its characters.

    Each error is a span labelled 0 of its aspect (`ASPECT_OF`); a stretch without a span of relevance or
    factuality has no such fault, but facts were not checked where relevance is at fault. Completeness is
    one span over the whole answer, labelled 0 where anything is missing and else 1. Spans stand in the
    order of the text, completeness last.

    `extra` holds `aspects` (the aspects annotated), `errors` and `missing` as the file has them, the errors
    in the order of the spans, `corrected` (the answer as the annotator mended it), `question` and
    `gold`. The other predictions, and which is preferred, are read by `qa_feedback_preferences`.

    Raises:
        DataError: A column is missing or not of its type, an error type is not known, or a span is empty or
            not in the prediction.
    """
    response = _text(row, ANNOTATED)
    feedback = row.column("feedback")
    if not isinstance(feedback, dict):
        raise row.expected("feedback", "an object of errors and missing-info", feedback)
    errors, missing = _objects(row, feedback, "errors"), _objects(row, feedback, "missing-info")
    marked = sorted(((_span(row, error, len(response)), error) for error in errors), key=_place)
    completeness = Span(0, len(response), "completeness", 0.0 if missing else 1.0)
    extra: dict[str, object] = {
        "aspects": list(ASPECTS),
        "errors": [error for _, error in marked],
        "missing": missing,
        "corrected": feedback.get("corrected-prediction"),
        "question": row.values.get("question"),
        "gold": row.values.get("gold"),
    }
    spans = (*(span for span, _ in marked), completeness)
    return SpanLabels(qa_prompt(row), response, spans, id_of(row), extra)


def qa_feedback_preferences(row: Row, left_out: Counter[str] | None = None) -> Iterator[Preference]:
    """Yield the preferences among a row's four predictions, in the order of `PAIRS`.

    `extra` holds `chosen_prediction` and `rejected_prediction`, their numbers from 1. The id is the row's or
    its place, and the pair: `dev_feedback.json:2:1-3`.

    Args:
        row: A row of the file.
        left_out: Counter of ties, which are no preferences.

    Raises:
        DataError: A column is missing or not of its type, or a preference is not 0, 1 or 2.
    """
    prompt, name = qa_prompt(row), id_of(row)
    entries = row.list_in("preference")
    if len(entries) != len(PAIRS) or any(
        isinstance(entry, bool) or entry not in (0, 1, 2) for entry in entries
    ):
        raise row.expected("preference", f"{len(PAIRS)} entries of 0, 1 or 2", entries)
    for (first, second), better in zip(PAIRS, entries, strict=True):
        if better == 0:
            if left_out is not None:
                left_out["tie"] += 1
            continue
        chosen, rejected = (first, second) if better == 1 else (second, first)
        numbers = {"chosen_prediction": chosen, "rejected_prediction": rejected}
        better_text, worse_text = _text(row, f"prediction {chosen}"), _text(row, f"prediction {rejected}")
        yield Preference(prompt, better_text, worse_text, 0.0, f"{name}:{first}-{second}", numbers)


def _text(row: Row, field: str) -> str:
    value = row.column(field)
    if not isinstance(value, str):
        raise row.expected(field, "a text", value)
    return value


def _objects(row: Row, feedback: dict[str, object], name: str) -> list[dict[str, object]]:
    value = feedback.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise row.expected("feedback", f"a list of objects in {name!r}", value)
    return value


def _span(row: Row, error: dict[str, object], length: int) -> Span:
    kind, start, end = error.get("error type"), error.get("start"), error.get("end")
    if kind not in ASPECT_OF:
        raise row.expected("feedback", f"an error type among {', '.join(ASPECT_OF)}", kind)
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        what = f"0 <= start < end <= {length}, the length of {ANNOTATED!r}, of each error"
        raise row.expected("feedback", what, (start, end))
    return Span(start, end, ASPECT_OF[str(kind)], 0.0)


def _place(marked: tuple[Span, dict[str, object]]) -> tuple[int, int]:
    return marked[0].start, marked[0].end
