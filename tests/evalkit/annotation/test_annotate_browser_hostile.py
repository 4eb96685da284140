"""Hostile texts in a browser: nothing in them runs, loads or hides, and all of them can be read."""

import pytest

from judges.human.study import Study as Settings
from judges.human.tasks import SCREENS
from tests.evalkit.annotation.annotation_gallery import screen_of, screens, tasks
from tests.evalkit.annotation.browser import EVERYBODY, Person, Serve, Study, Visit

RUN = "window.ran=1;alert(1)"
SCRIPT = f"<script>{RUN}</script>"
HOSTILE = (
    f"one {SCRIPT} </script></textarea></pre>{SCRIPT} and on",
    f'two <img src=x onerror="{RUN}"> ![pixel](http://evil.example/p.png) <svg onload="{RUN}"> and on',
    f"three [link](javascript:{RUN}) <a href='javascript:{RUN}'>x</a> <iframe srcdoc='{SCRIPT}'> and on",
    f"four $\\text{{<img src=x onerror={RUN}>}}$ $\\href{{javascript:{RUN}}}{{y}}$ a\u202eb\u200bc "
    "<style>body{display:none}</style> <meta http-equiv=refresh content='0;url=http://evil.example/'> and on",
)
SEEN = (
    "<script>",
    "</script></textarea></pre>",
    "<img src=x onerror=",
    "<iframe srcdoc=",
    "U+202E",
    "and on",
)
NAME = f"<b>ann</b>{SCRIPT}"
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => {
  window.violations.push(violatedDirective);
});
"""


@pytest.fixture
def hostile(serve: Serve) -> Study:
    aspects = (f"<b>{SCRIPT}", f"+</script>{SCRIPT}")
    study = serve("hostile", EVERYBODY, tasks=tasks(HOSTILE, aspects, axis=SCRIPT))
    study.store.set_study(Settings(overlap=99, gold_every=0, title=SCRIPT, instructions=" ".join(HOSTILE)))
    return study


def assert_nothing_ran(person: Person) -> None:
    assert person.page.evaluate("[window.ran ?? null, window.violations]") == [None, []]
    assert person.page.locator("body img, iframe, object, [onload], [onerror], [style*=url]").count() == 0
    links = person.page.locator("a").evaluate_all("all => all.map((link) => link.protocol)")
    assert set(links) <= {"http:", "https:"}


def test_nothing_of_a_hostile_text_runs_and_all_of_it_is_shown(hostile: Study, visit: Visit):
    person = visit(hostile, NAME)
    person.context.add_init_script(WATCH)
    person.page.reload()
    met = []
    for screen in screens(person):
        met.append(screen)
        assert_nothing_ran(person)
        assert person.page.locator("#annotator").inner_text() == NAME
        assert person.page.locator("#title").inner_text() == SCRIPT
        if screen == "rest":
            continue
        text = person.page.locator("#text" if screen == "spans" else ".answers, .steps").first.inner_text()
        shown = SEEN[:3] if screen == "pairwise" else SEEN
        assert [part for part in shown if part not in text] == []
        assert person.page.locator("#prompt").inner_text().count("<script>") >= 1
        person.press("r")
        assert_nothing_ran(person)
    assert sorted(met) == sorted([*SCREENS, "rest"])


def test_what_people_write_comes_back_as_text_to_them_and_in_the_admin_view(hostile: Study, visit: Visit):
    for name, best in (("ben", "first"), ("cleo", "second")):
        person = visit(hostile, name).ready()
        for _ in SCREENS:
            if screen_of(person) == "pairwise":
                break
            person.press_on("s")
        person.page.locator("#comment").fill(HOSTILE[0])
        person.page.reload()
        assert person.ready().page.locator("#comment").input_value() == HOSTILE[0]
        person.press_on("1" if person.shown()[0].startswith("one") == (best == "first") else "2")
        assert hostile.labels(name)["pairwise"].comment == HOSTILE[0]
    admin = visit(hostile, "", hostile.admin)
    admin.context.add_init_script(WATCH)
    admin.page.goto(f"{hostile.address}/admin/disagreements")
    said = admin.page.get_by_role("table", name="Who said what").inner_text()
    assert said.count(HOSTILE[0]) == 2
    assert "<img src=x onerror=" in admin.page.locator("main").inner_text()
    assert_nothing_ran(admin)
