"""Two people at once, reloads, undoing, double clicks, the server's death: no answer is lost or doubled."""

import re

from judges.human.answers import PairwiseAnswer
from tests.evalkit.annotation.annotation_gallery import PAIRS, choose, pairs
from tests.evalkit.annotation.browser import Person, Serve, Study, Visit

CHECKS = ("--gold_every", "0")
UNREACHED = "Failed to load resource: net::ERR_"
BANNER = "#banner"


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
    study = serve("overlap 1", CHECKS, rows=PAIRS)
    people = [visit(study, name).ready() for name in ("ann", "ben")]

    def apart(held):
        assert len(set(held)) == len(held)

    work(people, apart)
    said = [study.answers(name) for name in ("ann", "ben")]
    assert sorted([*said[0], *said[1]]) == [row["id"] for row in PAIRS]
    assert {len(one) for one in said} == {1, 2}
    assert {*said[0].values(), *said[1].values()} == {PairwiseAnswer("first")}
    assert [person.page.reload() and person.heading() for person in people] == ["All done. Thank you!"] * 2


def test_whoever_finds_all_tasks_in_others_hands_waits_and_gets_what_they_leave(serve: Serve, visit: Visit):
    study = serve("overlap 1, two tasks", CHECKS, rows=PAIRS[:1])
    holder, waiter = visit(study, "ann").ready(), visit(study, "ben")
    waiter.page.clock.install()
    waiter.page.reload()
    assert waiter.ready().heading() == "Nothing for you at this moment"
    choose(holder, "zinc")
    waiter.leave_by(lambda: waiter.page.clock.fast_forward(31_000))
    assert waiter.heading() == "All done. Thank you!"


def test_two_people_at_once_both_answer_all_where_two_answers_are_wanted(serve: Serve, visit: Visit):
    study = pairs(serve)
    people = [visit(study, name).ready() for name in ("amy", "bob")]
    work(people, len)
    for name in ("amy", "bob"):
        assert study.answers(name) == {row["id"]: PairwiseAnswer("first") for row in PAIRS}
        assert kinds(study, name) == ["answer"] * len(PAIRS)


def test_undo_shows_the_answer_and_replaces_it_two_back(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "cleo").ready()
    first, second = choose(person, "copper"), choose(person, "copper")
    person.press_on("u")
    assert f"pair-{person.prompt()[-1]}" == second
    assert person.status() == "Taken back: change it and answer again."
    assert person.page.get_by_role("button", pressed=True).inner_text().split()[0] == first_answer(person)
    person.click_on("button", "Undo last U")
    assert f"pair-{person.prompt()[-1]}" == first
    assert study.answers("cleo") == {}
    assert choose(person, "zinc") == first
    assert choose(person, "zinc") == second
    assert study.answers("cleo") == dict.fromkeys((first, second), PairwiseAnswer("second"))
    assert kinds(study, "cleo") == ["answer", "answer", "undo", "undo", "answer", "answer"]


def test_the_last_answer_of_all_can_still_be_undone(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "dora").ready()
    last = [choose(person, "copper") for _ in PAIRS][-1]
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
    assert f"pair-{person.ready().prompt()[-1]}" not in done
    choose(person, "zinc")
    assert kinds(study, "gil") == ["answer"] * 3


def test_an_answer_to_a_dead_server_is_sent_once_when_it_is_back(serve: Serve, visit: Visit):
    study = pairs(serve)
    person, reloading = visit(study, "hal").ready(), visit(study, "lou").ready()
    for one in (person, reloading):
        one.expected = UNREACHED
    task, other = (f"pair-{one.prompt()[-1]}" for one in (person, reloading))
    study.kill()
    person.press("1")
    reloading.page.locator("#choose-tie").click()
    for one in (person, reloading):
        one.expect(one.page.locator(BANNER)).to_contain_text("Not saved yet: the server cannot be reached.")
    assert study.answers("hal") == study.answers("lou") == {}
    study.start()
    person.leave_by(person.control("button", "Send now").click)
    # A page that was loaded again meanwhile sends what the browser kept.
    reloading.leave_by(reloading.page.reload)
    reloading.expect(reloading.page.locator("#progress-own")).to_have_text("1 done by you")
    assert [list(study.answers(name)) for name in ("hal", "lou")] == [[task], [other]]
    assert kinds(study, "hal") == kinds(study, "lou") == ["answer"]


def test_an_answer_is_sent_again_by_itself(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "jo").ready()
    person.expected = UNREACHED
    study.kill()
    person.press("3")
    person.expect(person.page.locator(BANNER)).to_be_visible()
    person.leave_by(study.start)
    assert kinds(study, "jo") == ["answer"]


def test_a_page_that_was_on_its_way_while_an_answer_went_out_is_not_shown(serve: Serve, visit: Visit):
    study = pairs(serve)
    person = visit(study, "ned").ready()
    late = person.page.request.get(
        person.page.url
    ).text()  # shows the task as open that is about to be answered

    def overtaken(route):
        route.fulfill(body=late, content_type="text/html; charset=utf-8")

    person.page.route(re.compile("/$"), overtaken, times=1)
    person.press("3")
    person.expect(person.page.locator("#progress-own")).to_have_text("1 done by you")
    person.ready()
    # It is the same task's page that comes when its answer is taken back.
    person.press_on("u")
    assert person.page.locator("#progress-own").inner_text() == "0 done by you"
    assert kinds(study, "ned") == ["answer", "undo"]


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
