import json
import threading
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from judges.asking.asker import Asker
from judges.asking.batch import BatchOptions, run_batches
from judges.asking.config import AskingConfig, without_secrets
from judges.asking.endpoint import Endpoint, EndpointError, public_address
from judges.asking.session import Session
from judges.judge import load_judge
from judges.questions.question import AnswerForm, Question
from rewards.errors import ConfigError, SpecError
from rewards.records import Message

SECRETS = ("hid/den", "hid%2Fden", "tok-123", b64encode(b"me:hid/den").decode())


@contextmanager
def listening(status=200, said=""):
    """Serve chat completions, or an error that repeats what was sent; yield the port and what was sent."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, self.headers["authorization"]))
            message = {"role": "assistant", "content": "[[A]]"}
            body = {"choices": [{"message": message, "finish_reason": "stop"}]}
            if status != 200:
                body = {"error": {"message": f"{said} {self.path} {self.headers['authorization']} hid/den"}}
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def session_of(port, tmp_path, **more):
    address = f"http://me:hid%2Fden@127.0.0.1:{port}/v1/?token=tok-123&version=2"
    config = AskingConfig(ledger=str(tmp_path / "l.sqlite"), base_url=address, api_key="sk-key", **more)
    return Session.open(config)


def question_of(session):
    return Question("openai:m", session.endpoint(), (Message("user", "?"),), AnswerForm())


def test_what_is_secret_in_an_address_is_sent_and_not_stored(tmp_path):
    with listening() as (port, seen):
        session = session_of(port, tmp_path)
        assert session.endpoint() == f"http://127.0.0.1:{port}/v1"
        asker = Asker(session, "m")
        (attempt,) = asker.answers([question_of(session)])
        assert attempt.state == "ok"
        basic = f"Basic {b64encode(b'me:hid/den').decode()}"
        assert seen == [("/v1/chat/completions?token=tok-123&version=2", basic)]
        rows = json.dumps(list(session.ledger.export_rows()))
        session.ledger.close()
    held = rows.encode() + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert f"127.0.0.1:{port}".encode() in held
    assert [secret for secret in (*SECRETS, "sk-key", "me:") if secret.encode() in held] == []
    assert [secret for secret in SECRETS if secret in repr(asker.endpoint)] == []


def test_the_same_endpoint_by_another_password_is_the_same_question(tmp_path):
    session = session_of(80, tmp_path)
    plain = Session.open(AskingConfig(base_url="http://127.0.0.1:80/v1"))
    assert question_of(session).key == question_of(plain).key


@pytest.mark.parametrize("batch", [False, True])
def test_an_error_that_repeats_the_secrets_is_told_without_them(tmp_path, batch):
    with listening(401, "no") as (port, _):
        session = session_of(port, tmp_path, tries=1)
        by_batch = partial(run_batches, session, "m", options=BatchOptions(wait=False))
        ask = by_batch if batch else Asker(session, "m").ask
        with pytest.raises(EndpointError, match="the key is refused") as caught:
            ask([question_of(session)])
        session.ledger.close()
    told = str(caught.value)
    assert f"http://127.0.0.1:{port}/v1, model m" in told
    assert [secret for secret in SECRETS if secret in told] == []


@pytest.mark.parametrize(
    "address",
    ["localhost:8000/v1", "ftp://h/v1", "http://", "http://me:hid/den@h:port/v1", "//h/v1", "http://[::1/v1",
     "http://a b/v1", "http://me:hid den@h/v1?key=tok-123", "https://h:99999/v1"],
)  # fmt: skip
def test_what_is_no_address_is_told_before_anything_is_asked(address):
    session = Session.open(AskingConfig(base_url=address))
    for ask in (session.endpoint, lambda: Asker(session, "m"), lambda: load_judge("openai:m", session)):
        with pytest.raises(ConfigError, match="base_url: expected an address such as http") as caught:
            ask()
        assert "hid" not in str(caught.value)
        assert "tok-123" not in str(caught.value)


def test_addresses_are_kept_as_they_are_but_for_their_end():
    for address in ("https://api.openai.com/v1", "http://[::1]:8000/v1", "http://H.example"):
        assert public_address(f"{address}/") == public_address(address) == address
        assert not Endpoint.at(address, "m").secret
    with pytest.raises(ConfigError, match=r"see Endpoint\.at"):
        Endpoint("https://me:hidden@there/v1", "m")


def test_a_specification_holds_no_secret_as_verdicts_repeat_it():
    for address in ("http://me:hidden@h/v1", "http://h/v1%3Fkey=hidden"):
        with pytest.raises(SpecError, match="give the address by --base_url") as caught:
            load_judge(f"openai:m?base_url={address}", Session.open())
        assert "hidden" not in str(caught.value)


def test_a_configuration_is_recorded_without_its_secrets():
    config = AskingConfig(base_url="https://me:hidden@h/v1?key=hidden", api_key="hidden", tries=2)
    assert "hidden" not in repr(asdict(without_secrets(config)))
    assert "hidden" not in repr(config)
    assert without_secrets(config) == AskingConfig(base_url="https://h/v1", tries=2)
    assert without_secrets(AskingConfig(api_key="hidden")) == AskingConfig()
