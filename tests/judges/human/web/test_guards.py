"""Attacks on the page's guards; each test fails where its guard is taken away."""

import json
import logging
import socket
from contextlib import closing

import pytest

from judges.human.database.failures import StoreUnavailableError
from judges.human.web.guards import HEADERS, LARGEST_BODY
from judges.human.web.posting import DEEPEST, PostError, nonce_of, posted_of, read_post
from judges.human.web.reach import Reach, checked_address
from rewards.errors import ConfigError
from tests.judges.human.web.human_site import ADMIN_TOKEN, BASE, pair, raw, served, site

FOREIGN = "https://evil.example"


@pytest.fixture(scope="module")
def fort(tmp_path_factory):
    """A study that only attacks reach: no test may change it."""
    with site(tmp_path_factory.mktemp("fort"), [pair(number) for number in range(4)]) as made:
        yield made
        assert made.labels() == []


@pytest.fixture(scope="module")
def server(fort):
    with served(fort.app) as port:
        yield port


@pytest.fixture(scope="module")
def attacked(fort):
    return fort.person("ann")


@pytest.fixture
def study(tmp_path):
    with site(tmp_path, [pair(number) for number in range(4)]) as made:
        yield made


@pytest.fixture
def ann(study):
    return study.person("ann")


def assert_hardened(response):
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert "server" not in response.headers


# Headers.


def test_the_policy_lets_only_the_servers_own_files_run_and_load():
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "no-referrer"
    assert HEADERS["Cache-Control"] == "no-store"
    assert HEADERS["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/static/page.css", 200),
        ("GET", "/static/none.css", 404),
        ("GET", "/static/", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/answer", 405),
        ("GET", "/sign-in/1.forged", 401),
        ("GET", "/admin", 401),
        ("GET", "/admin/numbers", 401),
        ("GET", "/admin/disagreements", 401),
        ("GET", "/admin/sign-in/forged", 401),
        ("GET", f"/admin/sign-in/{ADMIN_TOKEN}", 303),
        ("POST", "/answer", 403),
        ("POST", "/nowhere", 403),
        ("PUT", "/", 403),
    ],
)
def test_every_route_and_every_error_carries_the_headers(attacked, method, path, status):
    response = attacked.client.request(method, path)
    assert response.status_code == status
    assert_hardened(response)


def test_every_refusal_of_a_post_carries_the_headers(ann):
    refused = {
        401: ann.client.post("/answer", content=b"{}", headers=ann.headers(Cookie="evalkit_annotator=1.no")),
        403: ann.post(X_CSRF_Token="forged"),
        404: ann.post(body=ann.body(handle="of-nobody")),
        405: ann.post("/"),
        413: ann.post(body=b" " * (LARGEST_BODY + 1)),
        415: ann.post(Content_Type="text/plain"),
        422: ann.post(body=b"{"),
    }
    for status, response in refused.items():
        assert response.status_code == status, response.text
        assert list(response.json()) == ["error"]
        assert_hardened(response)
    assert ann.post().status_code == 200  # so that each was refused for its own fault alone


def test_an_unexpected_error_tells_neither_the_page_nor_the_log_what_it_held(study, ann, monkeypatch, caplog):
    secret, text = study.credentials["ann"], " ".join(["the", "answer"])

    def fails(*_):
        try:
            raise KeyError(text)
        except KeyError as error:
            raise RuntimeError(f"[parameters: {secret}]") from error

    monkeypatch.setattr(study.store, "record", fails)
    monkeypatch.setattr(study.store, "next_task", fails)
    with caplog.at_level(logging.DEBUG):
        answers = [ann.post(), ann.client.get("/")]
    for response in answers:
        assert response.status_code == 500
        assert_hardened(response)
        assert secret not in response.text
        assert "Traceback" not in response.text
    assert answers[0].json() == {"error": "the server failed; its terminal says more"}
    assert "RuntimeError at" in caplog.text  # whoever runs the server learns where it was
    assert "KeyError at" in caplog.text
    assert "in fails" in caplog.text
    assert secret not in caplog.text
    assert text not in caplog.text


def test_no_trace_of_a_request_is_made_which_would_hold_a_links_token(fort, monkeypatch):
    trace = pytest.importorskip("opentelemetry.trace", reason="only newer FastAPI makes traces")
    made = []

    class Tracer(trace.NoOpTracer):
        def start_span(self, *given, **more):
            made.append((given, more))
            return super().start_span(*given, **more)

    class Configured(trace.TracerProvider):
        def get_tracer(self, *_, **__):
            return Tracer()

    monkeypatch.setattr(trace, "get_tracer_provider", Configured)
    assert fort.client().get(f"/sign-in/{fort.credentials['ann']}").status_code == 303
    assert made == []


def test_a_store_that_is_gone_is_told_as_such_and_asked_again(study, ann, monkeypatch):
    def gone(*_):
        raise StoreUnavailableError("study.db: the disk is full; make room there")

    monkeypatch.setattr(study.store, "record", gone)
    monkeypatch.setattr(study.store, "next_task", gone)
    for response in (ann.post(), ann.client.get("/")):
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "study.db" not in response.text
        assert_hardened(response)


# Names of this server: DNS rebinding.


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "localhost:8000@evil.example",
        "evil.example#localhost",
        "localhost:port",
        "",
        "192.168.1.5:8000",  # on loopback, only its own names
    ],
)
def test_a_page_is_not_shown_under_a_name_that_others_can_point_here(attacked, host):
    response = attacked.client.get("/", headers={"Host": host})
    assert response.status_code == 400
    assert "question" not in response.text
    assert_hardened(response)
    posted = attacked.post(Host=host, Origin=f"http://{host}")
    assert posted.status_code == 400


def test_two_host_headers_or_none_are_one_too_many_or_too_few(fort):
    with served(fort.app) as port:
        for lines in (b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b""):
            said = raw(port, b"GET / HTTP/1.0\r\n" + lines + b"\r\n")
            assert said.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("reach", "host", "known"),
    [
        (Reach(), "localhost", True),
        (Reach(), "LOCALHOST:9", True),
        (Reach(), "[::1]:8000", True),
        (Reach(address="https://labels.example.org"), "labels.example.org", True),
        (Reach(address="https://labels.example.org"), "example.org", False),
        (Reach("0.0.0.0", names=("bench",)), "bench:8000", True),
        (Reach("0.0.0.0", names=("bench",)), "192.168.1.5:8000", True),
        (Reach("0.0.0.0", names=("bench",)), "[fe80::1]:8000", True),
        (Reach("0.0.0.0", names=("bench",)), "evil.example", False),
        (Reach("0.0.0.0", names=("bench",)), "127.1.evil.example", False),
        (Reach("192.168.1.5"), "192.168.1.5:8000", True),
    ],
)
def test_a_server_knows_its_own_names(reach, host, known):
    assert reach.knows_host(host) is known


@pytest.mark.parametrize(
    "address",
    ["labels.example.org", "ftp://a.b", "https://", "https://a.b/c", "https://u@a.b", "https://a.b:x"],
)
def test_an_address_with_a_path_or_without_a_scheme_is_refused(address):
    with pytest.raises(ConfigError, match=r"labels\.example\.org"):
        checked_address(address)


def test_only_a_port_that_goes_without_saying_is_left_out():
    addresses = ["http://a.b:80", "https://a.b:80", "http://a.b:8080", "http://[::1]:80", "http://[::80]"]
    assert [checked_address(address) for address in addresses] == [
        "http://a.b", "https://a.b:80", "http://a.b:8080", "http://[::1]", "http://[::80]",
    ]  # fmt: skip


# Posts of other sites.


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},  # another program of this machine; cookies know no ports
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": None},
    ],
)
@pytest.mark.parametrize("path", ["/answer", "/skip", "/draft", "/undo"])
def test_a_post_with_the_right_token_but_from_elsewhere_is_refused(fort, attacked, path, headers):
    body = {"nonce": "n"} if path == "/undo" else attacked.body(answer=None if path == "/skip" else {})
    response = attacked.post(path, body=body, **headers)
    assert response.status_code == 403
    assert fort.labels() == []


def test_a_post_from_the_page_itself_is_taken_by_either_sign(ann):
    assert ann.post("/draft", Sec_Fetch_Site="same-origin", Origin=None).status_code == 200
    assert ann.post("/draft", Sec_Fetch_Site="same-origin").status_code == 200


def test_a_page_behind_https_posts_from_its_address():
    reach = Reach(address=checked_address("https://Labels.example.org:443/"))
    assert reach.knows_origin("https://labels.example.org", "127.0.0.1:8000")
    assert not reach.knows_origin("https://evil.example", "127.0.0.1:8000")


@pytest.mark.parametrize("token", ["", "forged", "0" * 64, "ä" * 64])
def test_a_post_from_the_right_origin_without_the_pages_token_is_refused(fort, attacked, token):
    assert attacked.post(X_CSRF_Token=token.encode("latin-1")).status_code == 403
    assert attacked.post(X_CSRF_Token=None).status_code == 403
    assert fort.labels() == []


def test_a_post_with_another_annotators_token_is_refused(fort, attacked):
    bo = fort.person("bo")
    assert attacked.post(X_CSRF_Token=bo.page["csrf"]).status_code == 403
    assert fort.labels() == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "",
        None,
    ],
)
def test_what_a_form_can_send_is_not_read(fort, attacked, kind):
    assert attacked.post(Content_Type=kind).status_code == 415
    assert fort.labels() == []


def test_json_of_any_charset_parameter_is_read_and_packed_one_is_not(ann):
    assert ann.post("/draft", Content_Type="application/json; charset=utf-8").status_code == 200
    assert ann.post("/draft", Content_Encoding="gzip").status_code == 415


# Huge inputs.


def test_a_body_that_says_it_is_too_long_is_not_waited_for(server):
    head = (
        f"POST /answer HTTP/1.1\r\nHost: 127.0.0.1:{server}\r\nOrigin: http://127.0.0.1:{server}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {10**12}\r\n\r\n"
    )
    assert raw(server, head.encode()).startswith(b"HTTP/1.1 413")  # though not a byte of it was sent


def test_a_body_in_chunks_is_read_no_further_than_is_allowed(server):
    with closing(socket.create_connection(("127.0.0.1", server), 10)) as connection:
        connection.sendall(
            (
                f"POST /answer HTTP/1.1\r\nHost: 127.0.0.1:{server}\r\nOrigin: http://127.0.0.1:{server}\r\n"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            ).encode()
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(LARGEST_BODY // 0x10000 + 1):  # and the end of the body never comes
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_the_longest_comment_fits_and_a_longer_one_is_refused(study, ann):
    # A comment of the longest kind in escapes of six bytes a character, and in emoji of twelve.
    for letter in ("\u00e4", "\U0001f600"):
        ann.look()
        assert ann.post(body=ann.body(comment=letter * 10_000)).status_code == 200
    ann.look()
    response = ann.post(body=ann.body(comment="x" * 10_001))
    assert response.status_code == 422
    assert "10000" in response.json()["error"]
    assert len(response.content) < 500
    assert [len(label.comment) for label in study.labels()] == [10_000, 10_000]


# What JSON may hold.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"{}}",
        b"\xef\xbb\xbf{}",
        b'{"nonce": "\xff"}',
        '{"nonce": "n"}'.encode("utf-16"),
        b'{"seconds": NaN}',
        b'{"seconds": Infinity}',
        b'{"seconds": -Infinity}',
        b'{"seconds": 1e999}',
        b'{"seconds": 99999999999999999999}',
        b'{"seconds": ' + b"9" * 5000 + b"}",
        b'{"nonce": "a", "nonce": "b"}',
        b'{"answer": {"winner": "first", "winner": "second"}}',
        b'{"comment": "a\\u0000b"}',
        b'{"comment": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"answer": {"a": ["\\ud83d"]}}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
    ],
)
def test_json_that_cannot_be_kept_is_refused_in_one_line(body):
    with pytest.raises(PostError) as caught:
        read_post(body)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_json_of_pairs_of_surrogates_and_usual_depth_is_read():
    post = read_post(b'{"comment": "\\ud83d\\ude00", "answer": {"spans": [{"start": 1}]}}')
    assert post == {"comment": "\U0001f600", "answer": {"spans": [{"start": 1}]}}


GOOD = {"handle": "h", "nonce": "n", "answer": {"winner": "tie"}, "comment": "c", "seconds": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"handle": None},
        {"handle": 5},
        {"handle": "../x"},
        {"handle": "h" * 101},
        {"nonce": ""},
        {"nonce": ["n"]},
        {"nonce": "n\n"},
        {"nonce": "\u0663"},
        {"answer": None},
        {"answer": "first"},
        {"answer": []},
        {"comment": None},
        {"comment": {}},
        {"comment": "x" * 10_001},
        {"seconds": "2"},
        {"seconds": True},
        {"seconds": -1},
        {"seconds": None},
        {"seconds": 1e12},
        {"annotator": "bo"},
        {"gold": True},
    ],
)
def test_a_field_of_another_type_or_name_is_refused(change):
    assert posted_of("answer", GOOD)[0] == "h"
    with pytest.raises(PostError):
        posted_of("answer", GOOD | change)


@pytest.mark.parametrize("missing", ["handle", "nonce"])
def test_a_field_that_is_missing_is_named(missing):
    with pytest.raises(PostError, match=missing):
        posted_of("draft", {name: value for name, value in GOOD.items() if name != missing})


def test_an_undo_has_a_nonce_and_nothing_else():
    assert nonce_of({"nonce": "n"}) == "n"
    for post in ({}, {"nonce": "n", "handle": "h"}, {"nonce": 1}):
        with pytest.raises(PostError):
            nonce_of(post)


def test_what_cannot_be_kept_is_refused_by_the_page_too(fort, attacked):
    bodies = [
        b'{"handle": "%s", "nonce": "n", "seconds": NaN}',
        b'{"handle": "%s", "nonce": "n", "comment": "\\u0000"}',
        b'{"handle": "%s", "nonce": "n", "answer": {"a": "\\ud800"}}',
    ]
    for body in bodies:
        response = attacked.post("/draft", body=body % attacked.page["handle"].encode())
        assert response.status_code == 422
        assert len(response.json()["error"]) < 200
    response = attacked.post(body=attacked.body(winner="best"))
    assert response.status_code == 422
    assert "first, second, tie" in response.json()["error"]
    assert fort.labels() == []


# Methods and paths.


@pytest.mark.parametrize(
    "method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "answer"]
)
def test_other_methods_do_nothing(fort, attacked, method):
    for path in ("/answer", "/", "/static/page.css"):
        response = attacked.client.request(
            method, path, headers=attacked.headers(), content=json.dumps(attacked.body()).encode()
        )
        assert response.status_code == 405
        assert_hardened(response)
    assert fort.labels() == []


def test_a_method_by_another_name_is_the_one_it_came_as(fort, attacked):
    headers = attacked.headers() | {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"}
    assert attacked.client.get("/answer?_method=POST", headers=headers).status_code == 405
    assert attacked.client.post("/", headers=headers, content=b"{}").status_code == 405
    assert fort.labels() == []


def test_looking_whether_the_page_is_there_takes_no_task(study):
    client = study.client()
    client.get(f"/sign-in/{study.credentials['ann']}")
    assert client.head("/").status_code == 200
    assert client.head("/static/page.css").status_code == 200
    assert [state.held for state in study.store.task_states()] == [0] * 4


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/../app.py",
        "/static/..\\app.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/page.css%00.js",
        "/static/%00",
        "/static/page.css/",
        "/static/",
        "/static",
        "/static/.",
        "/static/..",
        "/static/%252e%252e%252fapp.py",
        "/static/PAGE.CSS",
        "/templates/task.html",
        "/openapi.json",
        "/docs",
        "/redoc",
        "//evil.example/",
        "/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_no_path_leads_to_another_file(server, path):
    said = raw(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 404")
    assert b"location:" not in said
    assert b"root:" not in said
    assert b"import" not in said


def test_the_packages_own_files_are_served_with_their_kind(fort):
    client = fort.client()
    for name, kind in (("page.css", "text/css"), ("task.js", "text/javascript")):
        response = client.get(f"/static/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert len(response.content) == int(response.headers["content-length"]) > 0


def test_an_address_of_nowhere_sends_nobody_elsewhere(fort):
    for path in ("/nowhere/", "/answer/", "/static/x/"):
        response = fort.client().get(path)
        assert response.status_code == 404
        assert "location" not in response.headers


def test_the_base_of_these_tests_is_a_name_that_is_known():
    assert Reach().knows_host(BASE.removeprefix("http://"))
