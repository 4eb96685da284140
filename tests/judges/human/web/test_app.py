"""What people can reach through the page: their own tasks, blind, once; and nothing of anybody else's."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest

from judges.human.answers import PairwiseAnswer
from judges.human.labels import Posted
from judges.human.study import Study
from judges.human.web.page import environment
from judges.human.web.reach import Reach
from tests.judges.human.web.human_site import ADMIN_TOKEN, PAGE, Person, pair, raw, served, site

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '"><svg onload=alert(1)>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "[link](javascript:alert(1))",
    "![picture](https://evil.example/track.png)",
    "<a href='javascript:alert(1)'>x</a>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    r"$\text{<img src=x onerror=alert(1)>}$",
    r"$\href{javascript:alert(1)}{x}$",
    "</textarea><form action=https://evil.example><input name=a></form>",
    "<style>body{display:none}</style><base href=https://evil.example>",
    "<!-- --><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "{{ 7 * 7 }}{% include 'admin.html' %}",
]


class Elements(HTMLParser):
    """Every element of a page with its attributes, as a browser would make them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def study(tmp_path):
    with site(tmp_path, [pair(number) for number in range(4)]) as made:
        yield made


def assert_harmless(text, drawn=frozenset()):
    """Hold a page against what only our own templates put there."""
    for tag, attributes in Elements(text).found:
        assert tag not in {"iframe", "object", "embed", "base", "form", "style", "img", "svg"} - drawn
        assert not [name for name in attributes if name.startswith("on") or name in {"srcdoc", "style"}]
        for name in ("src", "href", "action", "formaction", "xlink:href"):
            link = attributes.get(name, "/")
            known = r"(/static/|/$|/admin|#|https?://)" if name == "href" else r"(/static/|/$)"
            assert re.match(known, link), link
        if tag == "script":
            assert attributes.get("type") == "application/json" or attributes["src"].startswith("/static/")
        if tag == "meta":
            assert "http-equiv" not in attributes


# Hostile texts.


@pytest.mark.parametrize("text", HOSTILE)
def test_an_answer_or_prompt_that_is_markup_stays_text(tmp_path, text):
    tasks = [pair(1, prompt=f"asked: {text}", responses=(text, f"b {text}"), axis=text)]
    with site(tmp_path, tasks) as made:
        made.store.set_study(Study(title=text, instructions=text))
        person = made.person("ann")
        page = person.look()
        assert_harmless(page)
        assert sum(tag == "script" for tag, _ in Elements(page).found) == 2  # the page's data and its script
        assert person.page["screen"] == "pairwise"  # and its data can be read


@pytest.mark.parametrize("screen", ["steps", "spans", "best", "ranking"])
def test_hostile_texts_stay_text_on_every_screen(tmp_path, screen):
    text = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    changes = {
        "steps": {"responses": (text,), "steps": (text,), "systems": ()},
        "spans": {"responses": (text,), "aspects": (text, "+good"), "systems": ()},
        "best": {"responses": (text, text + "b", text + "c"), "systems": ()},
        "ranking": {"responses": (text, text + "b", text + "c"), "systems": ()},
    }[screen]
    with site(tmp_path, [pair(1, screen=screen, prompt=text, **changes)]) as made:
        person = made.person("ann")
        assert_harmless(person.look())
        if screen == "spans":
            assert person.page["text"] == text
            assert person.page["aspects"] == [text, "+good"]


def test_a_draft_and_a_name_that_are_markup_stay_text(tmp_path):
    name = "<b>ann</b><script>"
    text = "</script><script>alert(1)</script>"
    with site(tmp_path, [pair(1)], people=(name,)) as made:
        person = made.person(name)
        assert person.post("/draft", body=person.body(comment=text, answer={"a": text})).status_code == 200
        assert_harmless(person.look())
        assert person.page["draft"]["comment"] == text


def test_every_template_escapes_what_it_is_filled_with():
    environment().cache.clear()
    assert environment().autoescape is True
    for name in environment().list_templates():
        source = environment().loader.get_source(environment(), name)[0]
        assert "|safe" not in source.replace(" ", "")
        assert "autoescape" not in source
        assert not re.search(r"<script(?![^>]*(src=|application/json))", source)
        assert not re.search(r"\son[a-z]+\s*=", source)
        assert not re.search(r"\sstyle\s*=", source)


@pytest.mark.parametrize("sign", ["\u202e", "\u202d", "\u2066", "\u2067", "\u200f", "\u061c", "&#x202e;"])
def test_signs_that_turn_text_round_are_shown_and_each_answer_is_set_apart(tmp_path, sign):
    with site(tmp_path, [pair(1, responses=(f"good {sign}dab", "plain answer"))]) as made:
        page = made.person("ann").look()
    shown = page.replace(PAGE.search(page)[0], "")
    number = "202E" if sign == "&#x202e;" else f"{ord(sign):04X}"
    assert sign not in shown.replace("&amp;#x202e;", "")
    assert f"U+{number}" in shown
    rendered = [a for t, a in Elements(page).found if "rendered" in a.get("class", "").split()]
    assert rendered
    assert all(attributes.get("dir") == "auto" for attributes in rendered)


def test_a_text_of_lone_surrogates_or_nul_is_shown_all_the_same(tmp_path):
    with site(tmp_path, [pair(1, responses=("bad \ud800 half", "other"), axis="\udfff")]) as made:
        assert "U+D800" in made.person("ann").look()


# Blind.


def test_a_page_tells_nothing_of_systems_ids_checks_or_other_people(tmp_path):
    known = PairwiseAnswer("second")
    tasks = [
        pair(n, extra={"secret-column": "secret-value"}, gold=known if n % 2 else None, priority=0.625)
        for n in range(6)
    ]
    with site(tmp_path, tasks) as made:
        made.store.set_study(Study(gold_every=2, overlap=2))
        bo, ann = made.person("bo"), made.person("ann")
        bo.post(body=bo.body(comment="a remark of bo"))
        pages = []
        for _ in tasks:
            pages.append(ann.look() + json.dumps(dict(ann.client.cookies)))
            if ann.page["screen"] == "rest":
                break
            ann.post()
        keys = {frozenset(json.loads(PAGE.search(page)[1])) for page in pages if "handle" in page}
    for page in pages:
        for told in ("system-", "row-", "gold", "secret", "0.625", "a remark", ">bo<", "priority", "planted"):
            assert told not in page, told
    assert len(keys) == 1  # the data of a check has the same fields as that of a task


# Signing in.


def test_a_personal_link_becomes_a_cookie_that_no_script_can_read(study):
    response = study.client().get(f"/sign-in/{study.credentials['ann']}")
    assert response.status_code == 303
    assert response.headers["location"] == "/"
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie  # on plain http a browser would drop it


def test_behind_https_the_cookies_are_never_sent_in_the_clear(tmp_path):
    with site(tmp_path, [pair(1)], reach=Reach(address="https://labels.example.org")) as made:
        client = made.client("https://labels.example.org")
        for path in (f"/sign-in/{made.credentials['ann']}", f"/admin/sign-in/{ADMIN_TOKEN}"):
            assert "; secure" in client.get(path).headers["set-cookie"].lower()


def altered(credential):
    number, token = credential.split(".")
    other = "A" if token[-1] != "A" else "B"
    yield f"{number}.{token[:-1]}{other}"
    yield f"{number}.{other}{token[1:]}"
    yield f"{number}.{token[:-1]}"
    yield f"{number}.{token}A"
    yield f"{number}.{token.swapcase()}"
    yield f"{number}."
    yield f"{number}"
    yield f".{token}"
    yield f"0{number}..{token}"
    yield f"-{number}.{token}"
    yield f"99.{token}"
    yield f"{10**30}.{token}"
    yield f"{2**31}.{token}"
    yield f"\u0661.{token}"
    yield f"{number}.{token}%00"
    yield f"{number}.%00"
    yield "1' or '1'='1.x"
    yield "../../admin"


def test_a_forged_link_or_cookie_opens_nothing(study):
    ann, bo = study.credentials["ann"], study.credentials["bo"]
    mixed = f"{ann.split('.')[0]}.{bo.split('.')[1]}"  # another's number with one's own token
    for forged in [*altered(ann), mixed]:
        client = study.client()
        response = client.get(f"/sign-in/{forged}")
        assert response.status_code in (401, 404), forged
        assert "set-cookie" not in response.headers
        assert ann.split(".")[1] not in response.text
        cookie = forged.encode("ascii", "replace").decode()
        response = client.get("/", headers={"Cookie": f"evalkit_annotator={cookie}"})
        assert response.status_code == 401, forged
        assert "question" not in response.text


def test_two_studies_on_one_machine_do_not_sign_each_others_people_out(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with (
        site(tmp_path / "a", [pair(1)], reach=Reach(port=8000)) as one,
        site(tmp_path / "b", [pair(1)], reach=Reach(port=8001)) as other,
    ):
        # A browser has one jar of cookies for all ports of a host.
        jar = ""
        for study in (one, other):
            client = study.client()
            assert client.get(f"/sign-in/{study.credentials['ann']}").status_code == 303
            assert client.get(f"/admin/sign-in/{ADMIN_TOKEN}").status_code == 303
            jar += "".join(f"{cookie.name}={cookie.value}; " for cookie in client.cookies.jar)
        for study in (one, other):
            for path in ("/", "/admin"):
                assert study.client().get(path, headers={"Cookie": jar}).status_code == 200
    assert Reach(address="https://labels.example.org", port=8000).cookie("name") == "name"


def test_what_is_wrong_with_a_forged_link_is_not_told(study):
    number, token = study.credentials["ann"].split(".")
    texts = {study.client().get(f"/sign-in/{one}").text for one in (f"{number}.no", f"99.{token}", "1.a")}
    assert len(texts) == 1


def test_a_renewed_link_ends_the_old_one_and_who_is_signed_in_by_it(study):
    ann = study.person("ann")
    assert ann.post("/draft").status_code == 200
    renewed = study.store.renew("ann")
    assert study.client().get(f"/sign-in/{study.credentials['ann']}").status_code == 401
    assert ann.client.get("/").status_code == 401
    assert ann.post().status_code == 401
    study.credentials["ann"] = f"{renewed.annotator.id}.{renewed.token}"
    again = study.person("ann")
    assert ann.page["handle"] == again.page["handle"]  # her task waits for her
    assert ann.page["csrf"] != again.page["csrf"]


def test_nobody_who_is_not_signed_in_sees_or_sends_anything(study):
    ann = study.person("ann")
    stranger = Person(study.client(), ann.page)
    assert stranger.client.get("/").status_code == 401
    for path in ("/answer", "/skip", "/draft", "/undo"):
        response = stranger.post(path)  # with her handle and her page's token
        assert response.status_code == 401
        assert list(response.json()) == ["error"]
    assert study.labels() == []


def test_a_page_holds_the_token_of_no_link(study):
    ann = study.person("ann")
    texts = [ann.look(), ann.post().text, ann.post().text, ann.client.get("/nowhere").text]
    for credential in study.credentials.values():
        assert all(credential.split(".")[1] not in text for text in texts)


# Other people's tasks, and what is sent twice.


def test_another_annotators_task_can_be_neither_answered_nor_seen(tmp_path):
    with site(tmp_path, [pair(1), pair(2)]) as study:
        ann, bo = study.person("ann"), study.person("bo")
        assert ann.page["handle"] != bo.page["handle"]
        for path in ("/answer", "/skip", "/draft"):
            answer = None if path == "/skip" else {"winner": "first"}
            forged = bo.body(handle=ann.page["handle"], answer=answer)
            assert bo.post(path, body=forged).status_code == 404
        assert study.labels() == []
        before = ann.page
        ann.look()
        assert ann.page == before  # nor did a draft of his reach her page


@pytest.mark.parametrize("handle", ["nobodys", "1", "0", "A" * 32, "A" * 100])
def test_a_handle_of_nobody_is_refused(study, handle):
    ann = study.person("ann")
    response = ann.post(body=ann.body(handle=handle))
    assert response.status_code == 404
    assert study.labels() == []


def test_one_post_sent_twice_counts_once_and_says_so(study):
    ann = study.person("ann")
    body = ann.body()
    states = [ann.post(body=body).json()["state"] for _ in range(3)]
    assert states == ["recorded", "repeated", "repeated"]
    assert len(study.labels()) == 1


def test_one_post_sent_many_times_at_once_counts_once(study):
    ann = study.person("ann")
    body = json.dumps(ann.body()).encode()
    with served(study.app) as port, ThreadPoolExecutor(12) as senders:
        headers = "".join(f"{name}: {value}\r\n" for name, value in ann.headers().items())
        cookie = f"Cookie: evalkit_annotator={study.credentials['ann']}\r\nContent-Length: {len(body)}\r\n"
        head = f"POST /answer HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n{headers}{cookie}\r\n"
        said = list(senders.map(lambda _: raw(port, head.encode() + body), range(12)))
    states = sorted(json.loads(one.rpartition(b"\r\n")[2])["state"] for one in said)
    assert states == ["recorded"] + ["repeated"] * 11
    assert len(study.labels()) == 1


def test_one_number_for_another_answer_is_refused(study):
    ann = study.person("ann")
    body = ann.body("first")
    assert ann.post(body=body).status_code == 200
    for changed in (body | {"answer": {"winner": "second"}}, body | {"comment": "other"}):
        assert ann.post(body=changed).status_code == 409
    ann.look()
    assert ann.post(body=ann.body(nonce=body["nonce"])).status_code == 409  # and on another task
    assert len(study.labels()) == 1


def test_an_answered_task_is_answered_anew_only_after_undo(study):
    ann = study.person("ann")
    assert ann.post(body=ann.body("first")).status_code == 200
    assert ann.post(body=ann.body("second")).status_code == 409
    assert ann.post("/undo", body={"nonce": "u-1"}).json() == {"state": "recorded"}
    assert ann.post("/undo", body={"nonce": "u-1"}).json() == {"state": "repeated"}
    assert study.labels() == []
    handle = ann.page["handle"]
    ann.look()
    assert ann.page["handle"] == handle
    assert ann.page["draft"]["answer"] == {"winner": "first"}
    assert ann.post(body=ann.body("second")).status_code == 200
    assert len(study.labels()) == 1


def test_undo_with_nothing_to_take_back_says_so(study):
    ann = study.person("ann")
    assert ann.post("/undo", body={"nonce": "u"}).json() == {"state": "nothing"}


def test_an_undo_takes_back_ones_own_answer_only(study):
    ann, bo = study.person("ann"), study.person("bo")
    ann.post()
    assert bo.post("/undo", body={"nonce": "u"}).json() == {"state": "nothing"}
    assert len(study.labels()) == 1


def test_an_answer_is_kept_as_the_task_was_given_whichever_side_came_first(tmp_path):
    with site(tmp_path, [pair(n) for n in range(12)]) as study:
        ann = study.person("ann")
        for _ in range(12):
            page = ann.look()
            # She always prefers the text that begins with "one", wherever it stands.
            first = page.index("one answer") < page.index("other answer")
            assert ann.post(body=ann.body("first" if first else "second")).status_code == 200
        labels = study.labels()
        assert {label.answer.winner for label in labels} == {"first"}
        assert {label.shown for label in labels} == {(0, 1), (1, 0)}
        assert "All done" in ann.look()


def test_a_skip_has_a_reason_and_no_answer(study):
    ann = study.person("ann")
    assert ann.post("/skip", body=ann.body(answer=None, comment="I know neither")).status_code == 200
    [label] = study.labels()
    assert (label.answer, label.comment) == (None, "I know neither")


def test_who_has_to_wait_is_told_so_and_not_that_all_is_done(tmp_path):
    with site(tmp_path, [pair(1)]) as study:
        study.person("ann")
        assert "Nothing for you at this moment" in study.person("bo").look()


# The admin view.

ADMIN = ["/admin", "/admin/numbers", "/admin/disagreements", "/admin/disagreements?page=2"]


def test_the_admin_view_is_closed_without_its_token(study):
    ann = study.person("ann")
    for path in ADMIN:
        for client in (study.client(), ann.client):
            response = client.get(path)
            assert response.status_code == 401
            assert ADMIN_TOKEN not in response.text
    token = study.credentials["ann"]
    for forged in (token, token.split(".")[1], "", ADMIN_TOKEN[:-1], ADMIN_TOKEN + "x", "\u00e4", "%00"):
        assert study.client().get(f"/admin/sign-in/{forged}").status_code in (401, 404)
        cookie = forged.encode("ascii", "replace").decode()
        response = study.client().get("/admin", headers={"Cookie": f"evalkit_admin={cookie}"})
        assert response.status_code == 401


def test_the_admins_token_signs_in_nobody_as_an_annotator(study):
    client = study.client()
    assert client.get(f"/admin/sign-in/{ADMIN_TOKEN}").status_code == 303
    assert client.get("/").status_code == 401
    assert client.get("/", headers={"Cookie": f"evalkit_annotator=1.{ADMIN_TOKEN}"}).status_code == 401


def test_the_admin_link_opens_the_figures_by_a_cookie_of_their_own(study):
    client = study.client()
    response = client.get(f"/admin/sign-in/{ADMIN_TOKEN}")
    assert response.headers["location"] == "/admin"
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "path=/admin" in cookie
    assert "samesite=lax" in cookie
    for path in ADMIN:
        page = client.get(path)
        assert page.status_code == 200
        assert ADMIN_TOKEN not in page.text


def test_hostile_texts_names_and_comments_stay_text_in_the_admin_view(tmp_path):
    text = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    tasks = [
        pair(1, id=text, prompt=text, responses=(text, text + "b"), systems=(text, text + "2"), axis=text)
    ]
    with site(tmp_path, tasks, people=(text, "bo")) as made:
        made.store.set_study(Study(overlap=2, title=text))
        for annotator in made.store.annotators():
            given = made.store.next_task(annotator)
            winner = "first" if (given.shown == (0, 1)) == (annotator.name == "bo") else "second"
            posted = Posted("answer", f"n-{annotator.id}", {"winner": winner}, comment=text)
            made.store.record(annotator, given.handle, posted)
        client = made.client()
        client.get(f"/admin/sign-in/{ADMIN_TOKEN}")
        for path in ADMIN:
            page = client.get(path)
            assert page.status_code == 200
            assert_harmless(page.text, drawn={"svg"})
        assert "alert(1)" in client.get("/admin/disagreements").text  # it is there, as text


def test_a_page_number_that_is_none_is_the_first(study):
    client = study.client()
    client.get(f"/admin/sign-in/{ADMIN_TOKEN}")
    for asked in ("x", "-1", "0", "", "1.5", "9" * 30, "\u0663"):
        assert client.get("/admin/disagreements", params={"page": asked}).status_code == 200
