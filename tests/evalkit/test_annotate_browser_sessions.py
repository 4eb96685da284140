"""Two people at once, reloads, undoing, double clicks, the server's death: no answer is lost or doubled."""

import re

from judges.human.answers import PairwiseAnswer, SpansAnswer
from rewards.records import Span
from tests.evalkit.browser import EVERYBODY, Person, Serve, Study, Visit

ROWS = [
    {"id": f"Question {n}", "prompt": f"Question {n}", "first": f"copper {n}", "second": f"zinc {n}"}
    for n in range(3)
]
CHECKS = ("--gold_every", "0")
UNREACHED = "Failed to load resource: net::ERR_"
BANNER = "#banner"


def choose(person: Person, wanted: str) -> str:
    """Say that the answer with this word is better; return the task's id."""
    task = person.prompt()
    person.press_on("1" if person.shown()[0].startswith(wanted) else "2")
    return task


def first_answer(person: Person) -> str:
    return "1" if person.shown()[0].startswith("copper") else "2"


def kinds(study: Study, name: str) -> list[str]:
    """What happened of somebody's tasks, drafts aside."""
    return [str(event["kind"]) for event in events(study, name) if event["kind"] != "draft"]


def events(study: Study, name: str) -> list[dict[str, object]]:
    return [event for event in study.store.events() if event["annotator"] == name]


def work(people: list[Person], each) -> None:
    """Let people answer in turns until nobody has a task."""
    while busy := [person for person in people if person.page.locator("#choose-tie").count()]:
        each([person.prompt() for person in busy])
        for person in busy:
            choose(person, "copper")


def test_two_people_at_once_never_hold_the_same_task(serve: Serve, visit: Visit):
    study = serve("overlap 1", CHECKS, rows=ROWS)
    people = [visit(study, name).ready() for name in ("ann", "ben")]

    def apart(held):
        assert len(set(held)) == len(held)

    work(people, apart)
    said = [study.answers(name) for name in ("ann", "ben")]
    assert sorted([*said[0], *said[1]]) == [row["id"] for row in ROWS]
    assert {len(one) for one in said} == {1, 2}
    assert {*said[0].values(), *said[1].values()} == {PairwiseAnswer("first")}
    assert [person.page.reload() and person.heading() for person in people] == ["All done. Thank you!"] * 2


def test_whoever_finds_all_tasks_in_others_hands_waits_and_gets_what_they_leave(serve: Serve, visit: Visit):
    study = serve("overlap 1, two tasks", CHECKS, rows=ROWS[:1])
    holder, waiter = visit(study, "ann").ready(), visit(study, "ben")
    waiter.page.clock.install()
    waiter.page.reload()
    assert waiter.ready().heading() == "Nothing for you at this moment"
    choose(holder, "zinc")
    waiter.leave_by(lambda: waiter.page.clock.fast_forward(31_000))
    assert waiter.heading() == "All done. Thank you!"


def test_two_people_at_once_both_answer_all_where_two_answers_are_wanted(serve: Serve, visit: Visit):
    study = serve("overlap 2", (*CHECKS, "--overlap", "2"), rows=ROWS)
    people = [visit(study, name).ready() for name in ("ann", "ben")]
    work(people, len)
    for name in ("ann", "ben"):
        assert study.answers(name) == {row["id"]: PairwiseAnswer("first") for row in ROWS}
        assert kinds(study, name) == ["answer"] * len(ROWS)


def pairs(serve: Serve) -> Study:
    return serve("sessions", EVERYBODY, rows=ROWS)


def test_undo_shows_the_answer_and_replaces_it_two_back(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "cleo").ready()
    first, second = choose(person, "copper"), choose(person, "copper")
    person.press_on("u")
    assert person.prompt() == second
    assert person.status() == "Taken back: change it and answer again."
    assert person.page.get_by_role("button", pressed=True).inner_text().split()[0] == first_answer(person)
    person.click_on("button", "Undo last U")
    assert person.prompt() == first
    assert study.answers("cleo") == {}
    assert choose(person, "zinc") == first
    assert choose(person, "zinc") == second
    assert study.answers("cleo") == dict.fromkeys((first, second), PairwiseAnswer("second"))
    assert kinds(study, "cleo") == ["answer", "answer", "undo", "undo", "answer", "answer"]


def test_the_last_answer_of_all_can_still_be_undone(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "dora").ready()
    last = [choose(person, "copper") for _ in ROWS][-1]
    assert person.heading() == "All done. Thank you!"
    person.press_on("u")
    assert choose(person, "zinc") == last
    assert study.answers("dora")[last] == PairwiseAnswer("second")


def test_a_double_click_posts_once(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "eve").ready()
    person.leave_by(person.page.locator("#choose-tie").dblclick)
    assert person.page.locator("#progress-own").inner_text() == "1 done by you"
    assert person.posts == ["/answer"]
    assert kinds(study, "eve") == ["answer"]


def test_a_key_that_is_held_down_answers_one_task(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "fay").ready()
    person.leave_by(lambda: person.page.keyboard.down("3"))
    for _ in range(5):
        person.page.keyboard.down("3")  # as the keyboard repeats it
    person.page.keyboard.up("3")
    person.press_on("s")
    assert kinds(study, "fay") == ["answer", "skip"]


def test_going_back_shows_the_task_in_hand_and_not_one_that_is_answered(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "gil").ready()
    done = [choose(person, "copper"), choose(person, "zinc")]
    person.page.go_back()
    person.page.go_forward()
    assert person.ready().prompt() not in done
    choose(person, "zinc")
    assert kinds(study, "gil") == ["answer"] * 3


def test_what_is_half_done_outlives_a_reload_and_another_browser(serve: Serve, visit: Visit):
    row = {"id": "row-0", "prompt": "Tell me", "response": "It is big and cheap."}
    study = serve("drafts", ("--aspects", "[wrong,odd]", *EVERYBODY), rows=[row])
    person = visit(study, "ann").ready()
    person.press("t", "ArrowRight", "1")
    person.press("c")
    person.page.keyboard.type("half done, 1 2")
    person.page.reload()
    person.ready()
    assert person.page.locator("#comment").input_value() == "half done, 1 2"
    assert person.page.locator("#marks li").all_inner_texts() == ["wrong\n“It”\nRemove"]
    with person.page.expect_response(lambda reply: reply.url.endswith("/draft") and reply.ok):
        person.page.get_by_label("Something that the answer leaves out").fill("the price")
    elsewhere = visit(study, "ann").ready()
    assert elsewhere.page.locator("#comment").input_value() == "half done, 1 2"
    assert elsewhere.page.locator("#missing-list li").all_inner_texts() == ["the price\nRemove"]
    elsewhere.click_on("button", "Save and go on Enter")
    label = study.labels("ann")["row-0"]
    assert label.answer == SpansAnswer((Span(0, 2, "wrong", 0.0),), ("the price",))
    assert label.comment == "half done, 1 2"


def test_an_answer_to_a_dead_server_is_sent_once_when_it_is_back(serve: Serve, visit: Visit):
    study = pairs(serve)
    person, reloading = visit(study, "hal").ready(), visit(study, "ida").ready()
    for one in (person, reloading):
        one.expected = UNREACHED
    task, other = person.prompt(), reloading.prompt()
    study.kill()
    person.press("1")
    reloading.page.locator("#choose-tie").click()
    for one in (person, reloading):
        one.expect(one.page.locator(BANNER)).to_contain_text("Not saved yet: the server cannot be reached.")
    assert study.answers("hal") == study.answers("ida") == {}
    study.start()
    person.leave_by(person.control("button", "Send now").click)
    # A page that was loaded again meanwhile sends what the browser kept.
    reloading.leave_by(reloading.page.reload)
    reloading.expect(reloading.page.locator("#progress-own")).to_have_text("1 done by you")
    assert [list(study.answers(name)) for name in ("hal", "ida")] == [[task], [other]]
    assert kinds(study, "hal") == kinds(study, "ida") == ["answer"]


def test_an_answer_is_sent_again_by_itself(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "jo").ready()
    person.expected = UNREACHED
    study.kill()
    person.press("3")
    person.expect(person.page.locator(BANNER)).to_be_visible()
    person.leave_by(study.start)
    assert kinds(study, "jo") == ["answer"]


def test_an_answer_whose_receipt_is_lost_counts_once(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "kim").ready()
    person.expected = UNREACHED

    def lose(route):
        route.fetch()
        route.abort()

    person.page.route(re.compile("/answer$"), lose, times=1)
    person.press_on("3")
    assert person.posts == ["/answer", "/answer"]
    assert kinds(study, "kim") == ["answer"]
    assert person.page.locator("#progress-own").inner_text() == "1 done by you"
