"""The admin pages in a browser: figures that follow the labels, disagreements, and who may not see them."""

import re

import pytest

from tests.evalkit.annotation.annotation_gallery import PAIRS, choose
from tests.evalkit.annotation.browser import EVERYBODY, Serve, Study, Visit


@pytest.fixture
def study(serve: Serve) -> Study:
    return serve("admin", EVERYBODY, rows=PAIRS)


def test_figures_follow_the_labels_and_disagreements_can_be_read(study: Study, visit: Visit):
    admin = visit(study, "", study.admin)
    admin.page.clock.install()
    admin.page.reload()
    assert study.admin.rpartition("/")[2] not in admin.page.content() + admin.page.url
    people = admin.page.get_by_role("table").filter(has_text="Median time")
    for name, wanted in (("ann", "copper"), ("ben", "zinc")):
        person = visit(study, name).ready()
        for _ in PAIRS:
            choose(person, wanted)
        admin.page.clock.fast_forward(60_000)
        row = people.get_by_role("row").filter(has_text=name)
        admin.expect(row.get_by_role("cell").first).to_have_text("3")
    figures = admin.page.get_by_role("row").filter(has_text="system-alpha against system-beta").first
    admin.expect(figures).to_contain_text("50")
    admin.page.get_by_role("link", name="People disagree on 3 tasks").click()
    admin.expect(admin.page.get_by_role("heading", level=2)).to_have_count(3)
    article = admin.page.get_by_role("article").first
    admin.expect(article).to_contain_text("copper")
    admin.expect(article.get_by_role("row").filter(has_text="ann")).to_contain_text("system-alpha")
    admin.page.get_by_role("link", name="Overview").click()
    admin.expect(people).to_be_visible()


def test_a_server_that_was_started_again_asks_for_its_new_link(study: Study, visit: Visit):
    admin = visit(study, "", study.admin)
    admin.expected = "Failed to load resource"
    admin.page.clock.install()
    admin.page.reload()
    study.kill()
    admin.page.clock.fast_forward(60_000)
    trouble = admin.page.get_by_role("alert")
    admin.expect(trouble).to_contain_text("The server does not answer")
    before = study.admin
    study.start()
    assert study.admin != before
    admin.page.clock.fast_forward(60_000)
    admin.expect(trouble).to_contain_text("You are signed out")


def test_nobody_sees_the_figures_without_the_link(study: Study, visit: Visit):
    annotator = visit(study, "cleo", expected="401").ready()
    for path in ("", "/disagreements", "/numbers", "/sign-in/guessed"):
        annotator.page.goto(f"{study.address}/admin{path}")
        assert annotator.page.get_by_role("heading").inner_text() == "Sign in"
        assert not re.search("system-alpha|copper|Median", annotator.page.locator("body").inner_text())


def test_whoever_has_no_link_is_told_to_ask_for_one(study: Study, visit: Visit):
    stranger = visit(study, "", f"{study.address}/sign-in/1.guessed", expected="401")
    assert "Ask for your link" in stranger.page.locator("main").inner_text()
    stranger.page.goto(study.address)
    assert "Open your personal link" in stranger.page.locator("main").inner_text()
