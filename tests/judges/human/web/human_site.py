"""A small study behind the real application: its people's browsers, and a real server where bytes matter."""

import json
import re
import socket
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from judges.human.figures.study_numbers import StudyNumbers
from judges.human.store import Store
from judges.human.tasks import Task
from judges.human.web.admin_page import AdminPage
from judges.human.web.app import make_app
from judges.human.web.reach import Reach

BASE = "http://127.0.0.1:8000"
ADMIN_TOKEN = "an-admin-token-of-this-test-0123456789abcdef"
PAGE = re.compile(r'<script type="application/json" id="page">(.*?)</script>', re.DOTALL)

_nonces = count()


def pair(number: int, **changes) -> Task:
    known = {"screen": "pairwise", "prompt": f"question {number}", "id": f"row-{number}"}
    responses = (f"one answer {number}", f"other answer {number}")
    return Task(**{**known, "responses": responses, "systems": ("system-alpha", "system-beta"), **changes})


@dataclass
class Person:
    """A browser that is signed in, and knows what its page knows."""

    client: TestClient
    page: dict = field(default_factory=dict)

    def look(self) -> str:
        """Open the page, and keep what its script is told."""
        text = self.client.get("/").text
        self.page = json.loads(PAGE.search(text)[1])
        return text

    def headers(self, **changes) -> dict:
        given = {"X-CSRF-Token": self.page["csrf"], "Origin": BASE, "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in given.items() if value is not None}

    def body(self, winner="first", **changes) -> dict:
        said = {"handle": self.page.get("handle", "none"), "nonce": f"nonce-{next(_nonces)}"}
        return said | {"answer": {"winner": winner}, "comment": "", "seconds": 1.5} | changes

    def post(self, path="/answer", body=None, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body or self.body()).encode()
        return self.client.post(path, content=content, headers=self.headers(**headers))


@dataclass
class Site:
    """A store, its application, and the credentials of the people in it."""

    store: Store
    app: FastAPI
    credentials: dict[str, str]

    def client(self, base: str = BASE) -> TestClient:
        return TestClient(self.app, base_url=base, follow_redirects=False, raise_server_exceptions=False)

    def person(self, name: str) -> Person:
        """Sign in by the link and open the page."""
        person = Person(self.client())
        assert person.client.get(f"/sign-in/{self.credentials[name]}").status_code == 303
        person.look()
        return person

    def labels(self) -> list:
        return list(self.store.labels())


@contextmanager
def site(folder, tasks, people=("ann", "bo"), reach: Reach | None = None):
    """Make a study of these tasks."""
    with Store(str(folder / "study.db")) as store:
        store.add_tasks(tasks)
        invited = [store.invite(name) for name in people]
        app = make_app(store, ADMIN_TOKEN, AdminPage(StudyNumbers(store), store), reach or Reach())
        credentials = {one.annotator.name: f"{one.annotator.id}.{one.token}" for one in invited}
        yield Site(store, app, credentials)


@contextmanager
def served(app: FastAPI):
    """Serve an application on a free port; yields the port."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def raw(port: int, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)
