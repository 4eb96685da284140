"""Two answers, the best of several and an order, answered in a browser by keys alone and by pointer alone."""

import pytest

from judges.human.answers import BestAnswer, PairwiseAnswer, RankingAnswer
from tests.evalkit.annotation.annotation_gallery import PAIRS, pairs
from tests.evalkit.annotation.browser import Person, Serve, Visit

BETTER = {"pair-0": "copper", "pair-1": "zinc", "pair-2": ""}
"""What people mean to say; nothing is a tie."""
WINNERS = {"copper": "first", "zinc": "second", "": "tie"}

SEVERAL = [
    {
        "id": f"row-{n}",
        "prompt": f"Question {n}",
        "responses": [f"{word} {n}" for word in ("oak", "elm", "ash")],
    }
    for n in range(2)
]
MEANT_BEST = {"row-0": BestAnswer(1, (2, 5, 3)), "row-1": BestAnswer(0, (4, 4, 1))}
WOODS = ("oak", "elm", "ash", "fir")
ORDERS = [
    {"id": f"row-{n}", "prompt": f"Question {n}", "responses": [f"{word} {n}" for word in WOODS]}
    for n in range(3)
]
MEANT_RANKS = {"row-0": (4, 1, 3, 2), "row-1": (2, 1, 2, 4), "row-2": (1, 1, 1, 1)}


def task_of(person: Person) -> str:
    """The id of the task on the page, which the page itself does not tell."""
    number = person.prompt().removeprefix("Question ")
    assert person.page.content().count("system-") == person.page.content().count("row-") == 0
    return number


def pair_by_keys(person: Person, better: str) -> None:
    keys = {"": "3"} | {text.split()[0]: key for text, key in zip(person.shown(), "12", strict=True)}
    person.press_on(keys[better])


def pair_by_pointer(person: Person, better: str) -> None:
    names = {"": "Tie"} | {text.split()[0]: f"Answer {n}" for n, text in enumerate(person.shown(), 1)}
    person.leave_by(person.page.get_by_role("button", name=names[better]).click)


@pytest.mark.parametrize("way", [pair_by_keys, pair_by_pointer])
def test_pairs_are_told_as_they_were_given_whichever_side_each_person_saw_first(serve, visit, way):
    study = pairs(serve)
    names = [f"{name} {way.__name__}" for name in ("ann", "dee")]
    orders = []
    for name in names:
        person = visit(study, name).ready()
        for _ in PAIRS:
            way(person, BETTER[f"pair-{task_of(person)}"])
        assert person.heading() == "All done. Thank you!"
        meant = {task: PairwiseAnswer(WINNERS[better]) for task, better in BETTER.items()}
        assert study.answers(name) == meant
        orders.append({task: label.shown for task, label in study.labels(name).items()})
    assert orders[0] != orders[1]


def test_a_skip_and_its_reason_are_kept(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "ida").ready()
    first = f"pair-{task_of(person)}"
    person.press("c")
    person.page.keyboard.type("both are in another language")
    person.press("Escape")
    person.press_on("s")
    assert person.status() == "Skipped."
    second = f"pair-{task_of(person)}"
    person.page.get_by_role("textbox").fill("Neither, but the second tries.")
    person.leave_by(person.page.get_by_role("button", name="Answer 2").click)
    third = f"pair-{task_of(person)}"
    person.leave_by(person.page.get_by_role("button", name="Skip").click)
    kept = {task: (label.answer is None, label.comment) for task, label in study.labels("ida").items()}
    assert kept == {
        first: (True, "both are in another language"),
        second: (False, "Neither, but the second tries."),
        third: (True, ""),
    }


def woods(person: Person, meant) -> list:
    """What was meant for each response, in the order in which they are shown."""
    return [meant[WOODS.index(text.split()[0])] for text in person.shown()]


def best_by_keys(person: Person, meant: BestAnswer) -> None:
    best = woods(person, [place == meant.best for place in range(3)])
    # Whoever saves too early stands at the first answer that is not rated.
    person.press("ArrowLeft", "ArrowLeft")
    for place, rating in enumerate(woods(person, meant.ratings)):
        person.press(str(rating), *(["b"] if best[place] else []), "ArrowRight")
    person.press_on("Enter")


def best_by_pointer(person: Person, meant: BestAnswer) -> None:
    for number, rating in enumerate(woods(person, meant.ratings), 1):
        quality = person.page.get_by_role("group", name=f"Quality of answer {number}")
        quality.get_by_role("radio").nth(rating - 1).click()
    best = woods(person, [place == meant.best for place in range(3)]).index(True) + 1
    person.control("radio", f"Answer {best} is the best").click()
    person.leave_by(person.page.get_by_role("button", name="Save").click)


@pytest.mark.parametrize("way", [best_by_keys, best_by_pointer])
def test_the_best_of_several_and_each_ones_quality(serve, visit, way):
    study = serve("best", ("--screen", "best", "--overlap", "99"), rows=SEVERAL)
    person = visit(study, way.__name__).ready()
    for _ in SEVERAL:
        before = person.prompt()
        person.press("5", "Enter") if way is best_by_keys else person.page.locator("#save").click()
        assert "Still to say" in person.status()
        assert person.prompt() == before
        way(person, MEANT_BEST[f"row-{task_of(person)}"])
    assert person.heading() == "All done. Thank you!"
    assert study.answers(way.__name__) == MEANT_BEST


def order_by_keys(person: Person, ranks) -> None:
    # By numbers alone one goes from answer to answer; then the last ranked is moved to and fro.
    shown = woods(person, ranks)
    person.press(*(str(rank) for rank in shown), "Shift+ArrowDown", "Shift+ArrowUp")
    if shown[-1] == len(shown):
        person.press("Backspace", str(shown[-1]))
    person.press_on("Enter")


def order_by_pointer(person: Person, ranks) -> None:
    for number, rank in enumerate(woods(person, ranks), 1):
        ranks_of = person.page.get_by_role("group", name=f"Rank of answer {number}")
        ranks_of.get_by_role("radio").nth(rank - 1).click()
    person.leave_by(person.page.get_by_role("button", name="Save").click)


@pytest.mark.parametrize("way", [order_by_keys, order_by_pointer])
def test_a_ranking_with_ties(serve, visit, way):
    study = serve("ranking", ("--screen", "ranking", "--overlap", "99"), rows=ORDERS)
    person = visit(study, way.__name__).ready()
    for _ in ORDERS:
        person.press("Enter") if way is order_by_keys else person.page.locator("#save").click()
        assert person.status() == "Still to rank: answer 1, 2, 3, 4."
        way(person, MEANT_RANKS[f"row-{task_of(person)}"])
    assert study.answers(way.__name__) == {row: RankingAnswer(ranks) for row, ranks in MEANT_RANKS.items()}


def test_ranks_may_be_given_as_levels(serve: Serve, visit: Visit):
    study = serve("ranking", ("--screen", "ranking", "--overlap", "99"), rows=ORDERS)
    person = visit(study, "lee").ready()
    task = f"row-{task_of(person)}"
    levels = woods(person, (1, 1, 2, 3))
    person.press(*map(str, levels))
    person.press_on("Enter")
    assert study.answers("lee") == {task: RankingAnswer((1, 1, 3, 4))}
