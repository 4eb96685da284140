import json
import re
from html import unescape

import pytest

from judges.human.answers import PairwiseAnswer
from judges.human.labels import Annotator, AnnotatorProgress, Given
from judges.human.study import Study
from judges.human.tasks import SCREENS, Task
from judges.human.web.page import STATIC, TEMPLATES, environment, page_context, rest_context
from rewards.records import Message
from tests.judges.human.web.html_check import Found, read_html

SECRETS = {"id": "id-7f3a", "extra": {"first_system": "GPT-secret", "note": "leaked"}, "priority": 0.123}
CONTROLS = ("button", "input", "textarea", "select")


def task(screen, **changes):
    responses = ("The **first** one.", "The second one.", "A third: $x^2$.")
    fields = {
        "pairwise": {"responses": responses[:2]},
        "best": {"responses": responses},
        "ranking": {"responses": responses},
        "steps": {"responses": ("One.\n\nTwo.",), "steps": ("One.\n\n", "Two.")},
        "spans": {"responses": ("Some text.",), "aspects": ("wrong", "+good")},
    }[screen]
    fields = {
        **SECRETS,
        "systems": tuple(f"sys{n}-secret" for n in range(len(fields["responses"]))),
        **fields,
    }
    return Task(screen, **{"prompt": "What is it?", **fields, **changes})


def page(of, shown=None, draft=None, study=None, annotator="Ann"):
    given = Given("handle-1", of, 4711, shown or tuple(range(len(of.responses))), draft or {})
    study = study or Study(seed=97531, title="Which is better?", instructions="Read *well*.")
    context = page_context(given, study, Annotator(3, annotator), AnnotatorProgress(5, 40, 80), "csrf-1")
    return environment().get_template("task.html").render(context)


def data(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', html, re.S)[1])


def within(html: str, begin: str) -> Found:
    """What the element that begins so holds; it ends where the next of its kind begins."""
    return html.split(begin, 1)[1].split("</article>", 1)[0]


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_keeps_to_the_policy_and_can_be_told_by_a_screen_reader(screen):
    found = read_html(page(task(screen)))
    assert "style" not in found.tags
    assert not [name for _, name, _ in found.attributes if name == "style" or name.startswith("on")]
    scripts = [value for tag, name, value in found.attributes if tag == "script" and name == "src"]
    assert scripts == ["/static/task.js"]
    assert {"main", "header", "h1", "h2"} <= found.tags
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    for name in ("aria-labelledby", "aria-describedby", "for"):
        assert {part for value in found.values(name) for part in value.split()} <= set(ids)
    assert {"polite"} <= set(found.values("aria-live"))
    assert {"banner", "status", "comment", "skip", "undo", "instructions", "prompt", "keys-on"} <= set(ids)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_control_has_a_name(screen):
    html = page(task(screen))
    labelled = set(re.findall(r'<label for="([^"]+)"', html))
    for control in re.finditer(r"<(input|textarea|select)\b[^>]*>", html):
        own = re.search(r'id="([^"]+)"', control[0])
        inside = html.rfind("<label", 0, control.start()) > html.rfind("</label>", 0, control.start())
        assert inside or (own and own[1] in labelled) or "aria-label" in control[0], control[0]


@pytest.mark.parametrize("screen", SCREENS)
def test_the_page_is_blind(screen):
    gold = PairwiseAnswer("second") if screen == "pairwise" else None
    html = page(task(screen, gold=gold))
    for secret in ("secret", "leaked", "id-7f3a", "0.123", "4711", "gold", "97531", "extra", "system"):
        assert secret not in html
    assert set(data(html)) == {
        "screen", "handle", "count", "steps", "aspects", "text", "unseen", "draft", "annotator", "csrf",
    }  # fmt: skip


@pytest.mark.parametrize("screen", ["pairwise", "best", "ranking"])
def test_answers_stand_in_the_order_shown_and_look_alike(screen):
    count = 2 if screen == "pairwise" else 3
    order = tuple(reversed(range(count)))
    responses = task(screen).responses
    html = page(task(screen), shown=order)
    for place, index in enumerate(order):
        words = responses[index].split()[1].strip("*.:")
        assert words in within(html, f'id="answer-{place + 1}"')


def test_both_answers_are_shown_in_the_same_way():
    html = page(task("pairwise", responses=("Same: **this**.",) * 2))
    places = [within(html, f'id="answer-{place + 1}"') for place in range(2)]
    told = [re.sub(r'answer-\d|Answer \d|data-place="\d"', "", place) for place in places]
    assert "<strong>this</strong>" in told[0]
    assert told[0] == told[1].split('<div class="bar"')[0]


def test_a_planted_check_looks_like_any_other_task():
    assert page(task("pairwise", gold=PairwiseAnswer("first"))) == page(task("pairwise"))


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \u202e \0 \ud800 <!--"


@pytest.mark.parametrize("screen", SCREENS)
def test_hostile_text_stays_text_wherever_it_stands(screen):
    responses = {"steps": (HOSTILE * 2,), "spans": (HOSTILE,)}.get(
        screen, (HOSTILE,) * len(task(screen).responses)
    )
    changes = {"steps": (HOSTILE, HOSTILE)} if screen == "steps" else {}
    aspects = (HOSTILE, "+x") if screen == "spans" else ()
    prompt = (Message(HOSTILE, HOSTILE), Message("user", HOSTILE))
    of = task(screen, responses=responses, aspects=aspects, prompt=prompt, axis=HOSTILE, **changes)
    draft = {"answer": {"x": HOSTILE}, "comment": HOSTILE, "seconds": "</script>"}
    study = Study(title=HOSTILE, instructions=HOSTILE)
    html = page(of, draft=draft, study=study, annotator=HOSTILE)
    html.encode()
    found = read_html(html)
    assert "img" not in found.tags
    assert html.count("<script") == 2
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert data(html)["draft"] == draft
    assert data(html)["aspects"] == list(aspects)


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nb\tc\rd\n\n e",
        "👨\u200d👩\u200d👧 e\u0301 é",
        "مرحبا \u202eabc\u202c",
        "\n\nfirst",
        "\0\ud800 \ufeff</script>",
    ],
)
def test_a_response_to_be_marked_reaches_the_script_exactly(text):
    got = data(page(task("spans", responses=(text,))))
    assert got["text"] == text
    assert all(0 <= at < len(text) and name == f"U+{ord(text[at]):04X}" for at, name in got["unseen"])


def test_other_screens_do_not_send_an_answer_twice():
    assert data(page(task("pairwise")))["text"] == ""


def test_an_answer_can_be_read_as_it_was_written():
    html = within(page(task("pairwise")), 'id="answer-1"')
    assert "<strong>first</strong>" in html
    assert "The **first** one." in html


def test_both_answers_are_plain_where_one_is_too_long():
    html = page(task("pairwise", responses=("**short**", "long " * 10_000)))
    assert "<strong>short" not in html
    assert html.count('<p class="note">') == 2
    assert unescape(html).count("long " * 10_000) >= 1


def test_a_conversation_is_told_with_its_roles():
    turns = (Message("system", "Be *kind*."), Message("user", "Hello <b>"))
    found = read_html(page(task("pairwise", prompt=turns)))
    assert found.values("data-role") == ["system", "user"]
    assert "Hello <b>" in found.text
    assert "data-role" not in page(task("pairwise", prompt="Hello"))


def test_the_draft_comes_back():
    draft = {"answer": {"winner": "first"}, "comment": "hm", "seconds": 12.5, "kind": "draft"}
    assert data(page(task("pairwise"), draft=draft))["draft"] == {
        "answer": {"winner": "first"}, "comment": "hm", "seconds": 12.5,
    }  # fmt: skip
    assert data(page(task("pairwise")))["draft"] == {"answer": None, "comment": None, "seconds": None}


def test_progress_axis_and_name_are_told():
    text = read_html(page(task("pairwise", axis="harmless"), annotator="Ann <3")).text
    for told in ("5 done by you", "40 of 80", "harmless", "Ann <3", "Read well."):
        assert told in text
    assert "quality" not in read_html(page(task("pairwise"))).text


def test_no_instructions_no_box_for_them():
    assert 'id="instructions"' not in page(task("pairwise"), study=Study())


def test_lines_of_instructions_run_on_as_in_their_file_and_those_of_an_answer_do_not():
    html = page(task("pairwise", responses=("one\ntwo", "three")), study=Study(instructions="four\nfive"))
    assert re.search(r"<p>four\s+five</p>", html)
    assert re.search(r"<p>one<br ?/?>\s*two</p>", html)


@pytest.mark.parametrize("name", ["done.html", "waiting.html"])
def test_the_last_answer_can_be_undone_where_nothing_is_left(name):
    context = rest_context(Study(), Annotator(3, "Ann"), AnnotatorProgress(5, 0, 0), "csrf-1")
    html = environment().get_template(name).render(context)
    assert data(html) == {"screen": "rest", "annotator": 3, "csrf": "csrf-1"}
    assert 'id="undo"' in html
    read_html(html)


def test_a_message_is_a_page_of_its_own():
    html = environment().get_template("message.html").render(title="No <b>", text="Ask & wait.")
    found = read_html(html)
    assert "No <b>" in found.text
    assert "script" not in found.tags


def test_a_name_that_a_template_misses_is_an_error():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment().get_template("message.html").render(title="only this")


def test_scripts_write_no_markup_and_templates_no_script():
    scripts = list(STATIC.glob("*.js"))
    assert len(scripts) > 5
    for file in scripts:
        source = file.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source
        ), file
        assert not re.search(r"setAttribute\(\s*[\"']style", source), file
        assert len(source.splitlines()) <= 300, file
    for file in TEMPLATES.glob("*.html"):
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape|<style|\sstyle=|\son[a-z]+=", source), file
        assert len(source.splitlines()) <= 300, file


def test_scripts_import_what_is_there():
    for file in STATIC.glob("*.js"):
        for imported in re.findall(r'from "\./([^"]+)"', file.read_text(encoding="utf-8")):
            assert (STATIC / imported).exists(), f"{file.name} imports {imported}"
