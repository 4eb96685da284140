"""Keyboard, screen reader, contrast and small windows: everybody can work on every screen."""

import pytest

from judges.human.study import Study as Settings
from tests.evalkit.annotation.annotation_gallery import screen_of, screens, tasks
from tests.evalkit.annotation.browser import EVERYBODY, Person, Serve, Study, Visit
from tests.evalkit.annotation.page_checks import controls, faint_texts, overflow

RICH = (
    "## A heading\n\nText with `code`, **bold** and a [link](https://example.org/"
    + "long" * 40
    + ").\n\n> quoted\n\n",
    "| a | much | wider | table | than | a | phone | is | wide |\n|"
    + "---|" * 9
    + "\n|"
    + " cell |" * 9
    + "\n\n",
    "```python\nprint(" + " + ".join(["'a line of code that does not break'"] * 4) + ")\n```\n\n",
    "$$\\sum_{i=1}^{n} "
    + " + ".join(f"x_{{{n}}}^2" for n in range(30))
    + "$$\n\n"
    + "unbreakable" * 30
    + "\n\n",
)
PHONES = [(360, 740), (390, 844)]


@pytest.fixture
def study(serve: Serve) -> Study:
    many = tasks([text * 6 for text in RICH], ("irrelevant", "unfactual", "+very-long-" + "name" * 12))
    study = serve("access", EVERYBODY, tasks=many)
    study.store.set_study(Settings(overlap=99, gold_every=0, title="Answers " * 6, instructions=RICH[1]))
    return study


def until(person: Person, screen: str) -> Person:
    """Skip until this screen is there."""
    while screen_of(person.ready()) != screen:
        person.press_on("s")
    return person


@pytest.mark.parametrize("size", [*PHONES, (1440, 900)])
def test_no_page_scrolls_sideways_and_the_choices_are_in_reach(study: Study, visit: Visit, size):
    small = size[0] < 1000
    settings = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if small else {}
    person = visit(study, f"wide {size[0]}", size=size, **settings)
    for screen in screens(person):
        assert overflow(person) == [], screen
        if screen == "rest":
            continue
        bar = person.page.locator(".bar").bounding_box()
        assert bar["y"] >= 0
        assert bar["y"] + bar["height"] <= size[1] + 1, screen
        # It leaves room for what it is about.
        assert bar["height"] < size[1] * 0.45, screen
        for choice in person.page.locator(".bar .choice").all():
            box = choice.bounding_box()
            assert min(box["width"], box["height"]) >= 40, screen
            assert box["x"] + box["width"] <= size[0], screen


def test_a_tap_answers_and_marks_on_a_phone(study: Study, visit: Visit):
    person = visit(study, "tom", size=PHONES[0], has_touch=True, is_mobile=True)
    until(person, "pairwise")
    person.leave_by(person.page.locator("#choose-second").tap)
    assert study.labels("tom")["pairwise"].answer is not None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(study: Study, visit: Visit, scheme):
    person = visit(study, scheme, color_scheme=scheme)
    for screen in screens(person):
        assert faint_texts(person) == [], screen
    admin = visit(study, "", study.admin, color_scheme=scheme)
    assert faint_texts(admin) == []


def test_every_control_has_a_name(study: Study, visit: Visit):
    person = visit(study, "ria")
    for screen in screens(person):
        there = list(controls(person))
        assert [role for role, name in there if not name] == [], screen
        names = [name for _, name in there]
        assert {"Undo last U"} <= set(names)
        # Which answer a control is about is in its name: it is read alone.
        radios = [name for role, name in there if role == "radio"]
        assert len(radios) == person.page.get_by_role("radio").count()
        assert person.page.get_by_role("main").count() == person.page.locator("h1").count() == 1
    admin = visit(study, "", study.admin)
    assert [role for role, name in controls(admin) if not name] == []


def focused(person: Person) -> tuple[str, bool]:
    """Where the focus is, and whether it can be seen there."""
    return person.page.evaluate("""() => {
      const at = document.activeElement;
      const drawn = at.matches(".scale input, .best input, .labels input") ? at.nextElementSibling : at;
      const { outlineStyle, outlineWidth } = getComputedStyle(drawn);
      const { width, height } = at.getBoundingClientRect();
      const seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && width > 0 && height > 0;
      return [at.id || at.name || at.className || at.tagName, at === document.body || seen];
    }""")


def test_tab_goes_through_every_control_in_the_order_of_the_page(study: Study, visit: Visit):
    person = visit(study, "una")
    for screen in screens(person):
        visited = []
        for _ in range(80):
            person.press("Tab")
            where, seen = focused(person)
            assert seen, (screen, where)
            if where in visited[:1] or where in ("BODY", "HTML", "plain-page"):
                break
            visited.append(where)
        assert visited[0] == "skip-link"
        expected = {"pairwise": ["raw", "together", "pane", "choose-first", "choose-tie", "choose-second"]}
        expected |= {
            "best": ["raw", "pane", "rating-0", "best-1", "save"],
            "ranking": ["raw", "rank-0", "save"],
        }
        expected |= {"steps": ["raw", "step-0", "save"], "spans": ["text", "missing", "add-missing", "save"]}
        wanted = ["turns", *expected[screen], "skip", "undo", "comment"] if screen != "rest" else ["undo"]
        assert [where for where in visited if where in wanted and visited.count(where) == 1] == [
            where for where in wanted if visited.count(where) == 1
        ], screen
        assert set(wanted) <= set(visited), screen
        person.page.evaluate("document.activeElement.blur()")


def test_what_happened_is_told_to_whoever_cannot_see_it(study: Study, visit: Visit):
    person = until(visit(study, "vic"), "pairwise")
    status = person.page.get_by_role("status")
    assert status.get_attribute("aria-live") == "polite"
    person.press_on("1")
    assert status.inner_text() == "Saved: answer 1 is better."
    person.press_on("u")
    assert status.inner_text() == "Taken back: change it and answer again."
    assert person.page.locator("#choose-first").get_attribute("aria-pressed") == "true"
    assert person.page.get_by_role("alert").count() == 0


def test_no_key_acts_while_somebody_types_or_has_switched_keys_off(study: Study, visit: Visit):
    person = until(visit(study, "wim"), "pairwise")
    posts = len(person.posts)
    person.press("c")
    person.page.keyboard.type("1 2 3 s u c r i\n")
    assert person.page.locator("#comment").input_value() == "1 2 3 s u c r i\n"
    assert person.page.locator("#raw").is_checked() is False
    person.press("Control+Enter")
    assert person.status() == "Choose an answer, or a tie."
    person.press("Escape")
    person.page.locator("#keys summary").click()
    person.page.get_by_label("Answer by keys").uncheck()
    person.press("1", "s", "u", "3")
    person.page.reload()
    assert person.ready().page.locator("#comment").input_value() == "1 2 3 s u c r i\n"
    person.press("3")
    assert [post for post in person.posts[posts:] if post != "/draft"] == []
    person.page.locator("#keys summary").click()
    person.page.get_by_label("Answer by keys").check()
    person.page.evaluate("document.activeElement.blur()")
    person.press_on("3")
    assert study.labels("wim")["pairwise"].comment == "1 2 3 s u c r i\n"


def test_long_answers_scroll_together(study: Study, visit: Visit):
    person = until(visit(study, "xia", size=(1280, 700)), "pairwise")
    first, second = person.page.locator(".answer .pane").all()
    first.evaluate("pane => { pane.scrollTop = pane.scrollHeight; }")
    at_the_end = "pane => pane.scrollTop > 0 && pane.scrollHeight - pane.clientHeight - pane.scrollTop < 2"
    scrolled(person)
    assert second.evaluate(at_the_end)
    person.page.get_by_label("Scroll together").uncheck()
    first.evaluate("pane => { pane.scrollTop = 0; }")
    scrolled(person)
    assert second.evaluate(at_the_end)


def scrolled(person: Person) -> None:
    """Wait until the page has heard that something was scrolled, which is before the next but one picture."""
    person.page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
