"""The steps of a solution, labelled in a browser by keys alone and by pointer alone."""

import pytest

from judges.human.answers import StepsAnswer
from tests.evalkit.annotation.browser import Person, Serve, Visit

STEPS = ["First, 2 + 2 = 4. ", "So 4 + 1 = 5. ", "And $5 \\cdot 2 = 11$. ", "The answer is 11."]
ROWS = [{"id": f"row-{n}", "prompt": f"Question {n}", "completions": STEPS} for n in range(2)]
MEANT = {
    "Question 0": StepsAnswer(("positive", "neutral", "negative", None)),
    "Question 1": StepsAnswer(("positive", "positive", "neutral", "positive")),
}
KEYS = {"positive": "p", "neutral": "n", "negative": "x"}
NAMES = {"positive": "Right P", "neutral": "Neutral N", "negative": "Wrong X"}


def by_keys(person: Person, labels) -> None:
    person.press("ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "p")
    # A label that was a slip is taken away, or given again.
    person.press("ArrowUp", "x", "Backspace", *(KEYS[label] for label in labels if label))
    person.press_on("Enter")


def by_pointer(person: Person, labels) -> None:
    for number, label in enumerate(labels, 1):
        choice = person.page.get_by_role("group", name=f"Step {number} is")
        if label is None:
            assert choice.get_by_role("radio").first.is_disabled()
        else:
            choice.get_by_role("radio", name=NAMES[label]).click()
    person.click_on("button", "Save and go on Enter")


@pytest.mark.parametrize("way", [by_keys, by_pointer])
def test_steps_are_labelled_up_to_the_first_wrong_one(serve: Serve, visit: Visit, way):
    study = serve("steps", rows=ROWS)
    person = visit(study, way.__name__).ready()
    for _ in ROWS:
        prompt = person.prompt()
        person.press("Enter") if way is by_keys else person.page.locator("#save").click()
        assert person.status() == "Step 1 has no label yet."
        way(person, MEANT[prompt].labels)
        assert person.status().startswith("Saved: ")
    assert person.heading() == "All done. Thank you!"
    assert study.answers(way.__name__) == {f"row-{n}": MEANT[f"Question {n}"] for n in range(2)}


def test_what_was_said_of_later_steps_returns_with_the_wrong_one_put_right(serve: Serve, visit: Visit):
    person = visit(serve("steps", rows=ROWS), "ann").ready()
    left = person.page.locator("#left")
    person.press("p", "p", "n", "n")
    assert left.inner_text() == "4 of 4 steps labelled."
    person.press("ArrowUp", "ArrowUp", "x")
    assert left.inner_text() == "Step 2 is wrong: the steps behind it are not asked."
    assert person.page.locator("#step-3 input:checked").is_disabled()
    person.press("p")
    assert left.inner_text() == "4 of 4 steps labelled."
    task = f"row-{person.prompt().removeprefix('Question ')}"
    person.press_on("Enter")
    answers = person.study.answers("ann")
    assert answers == {task: StepsAnswer(("positive", "positive", "neutral", "neutral"))}
