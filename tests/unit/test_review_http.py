"""Who may ask a review's server for what: tokens, cookies, Host and Origin, versions, and when it is over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest

from mega_code.errors import MegaCodeError
from mega_code.hitl.feedback import TEXT_CHARACTERS, Feedback
from mega_code.hitl.review_data import load
from mega_code.hitl.review_http import IDLE_S, LINGER_S, Answer, App, Ask, Door, digest
from support.review import feedback, iteration

ORIGIN, PATH = "http://127.0.0.1:4711", "/room/"
ARMS = re.compile(r"with_skill|baseline|previous|No skill|Current skill", re.IGNORECASE)


class Served:
    """A review served to nobody but the test; its door knows the token `t` once."""

    def __init__(self, folder: Path, blind: bool = False) -> None:
        self.folder, self.seconds, self.closed = folder, 1000.0, False
        self.tokens, self.sessions = {digest("t")}, list[str]()
        kept = Feedback(folder / "feedback.json", now=lambda: 1776838315.0)
        kept.begin(blind)
        self.app = App(
            load(folder), kept, Door(ORIGIN, PATH, self._exchange, self._knows, self._close), lambda: self.seconds
        )
        self.cookie = ""

    def _exchange(self, token: str, session: str) -> bool:
        if token not in self.tokens:
            return False
        self.tokens.remove(token)
        self.sessions.append(session)
        return True

    def _close(self) -> None:
        self.closed = True

    def _knows(self, session: str) -> bool:
        return session in self.sessions

    def ask(
        self, method: str, name: str, body: object = None, *, query: Optional[str] = "", **headers: Optional[str]
    ) -> Answer:
        given = {"host": "127.0.0.1:4711", "origin": ORIGIN, "content-type": "application/json", "cookie": self.cookie}
        given.update({key.replace("_", "-"): value or "" for key, value in headers.items()})
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.app.answer(Ask(method, PATH + name, query or "", given, raw))

    def enter(self) -> Answer:
        answer = self.ask("GET", "", query="token=t")
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    def state(self) -> dict[str, Any]:
        return said(self.ask("GET", "state"))

    def save(self, text: str, **more: object) -> Answer:
        base = self.state()["cases"][0]["version"]
        return self.ask("POST", "save", {"case": "leap-second", "text": text, "base": base, **more})


def said(answer: Answer) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(answer.body)
    return value


Serve = Callable[..., Served]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(iteration(tmp_path))


def test_a_token_opens_the_page_once_and_leaves_a_cookie_for_this_path_alone(served: Served) -> None:
    answer = served.enter()
    assert answer.status == 200
    attributes = answer.headers["Set-Cookie"].split("; ")[1:]
    assert attributes == ["Path=/room/", "HttpOnly", "SameSite=Strict"]
    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]{22})'", policy)
    assert nonce and f"style-src 'nonce-{nonce.group(1)}'" in policy
    for part in ("default-src 'none'", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy.split("; ")
    page = answer.body.decode()
    assert page.count(f'<script nonce="{nonce.group(1)}">') == 1
    assert set(re.findall(r"<script ([^>]*)>", page)) == {
        f'nonce="{nonce.group(1)}"',
        'type="application/json" id="data"',
    }
    assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
    assert served.ask("GET", "").status == 200
    among_others = f'other={{"a": [1]}}; review=old; {served.cookie}; =;;'
    assert served.ask("GET", "", cookie=among_others).status == 200
    assert nonce.group(1) not in served.ask("GET", "").headers["Content-Security-Policy"]
    again = served.ask("GET", "", query="token=t", cookie="")
    assert again.status == 403 and b"has been used" in again.body and "Set-Cookie" not in again.headers


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("", {"cookie": ""}, 403),
        ("", {"cookie": "review=wrong"}, 403),
        ("", {"cookie": "review=\x00;;=[]"}, 403),
        ("", {"host": "evil.example:4711"}, 403),
        ("", {"host": "localhost:4711"}, 403),
        ("", {"host": "127.0.0.1"}, 403),
        ("state", {"cookie": ""}, 403),
        ("../state", {}, 404),
        ("etc/passwd", {}, 404),
    ],
)
def test_nobody_else_reads_it(served: Served, name: str, headers: dict[str, str], status: int) -> None:
    served.enter()
    answer = served.ask("GET", name, **headers)
    assert answer.status == status
    assert b"changelog-writer" not in answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:4712"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": None}, 403),
        ({"content_type": "text/plain"}, 403),
        ({"cookie": ""}, 403),
        ({"host": "evil.example"}, 403),
    ],
)
@pytest.mark.parametrize("name", ["save", "submit"])
def test_nobody_else_writes_it(served: Served, name: str, headers: dict[str, Optional[str]], status: int) -> None:
    served.enter()
    before = feedback(served.folder)
    body = {"case": "leap-second", "text": "x", "base": served.state()["cases"][0]["version"]}
    assert served.ask("POST", name, body, **headers).status == status
    assert feedback(served.folder) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"case": "leap-second"}',
        b"[" * 100_000,
        {"case": "no such", "text": "x", "base": ""},
        {"case": ["leap-second"], "text": "x", "base": ""},
        {"case": "leap-second", "text": "x" * (TEXT_CHARACTERS + 1), "base": ""},
        {"case": "leap-second", "text": "x", "base": "", "preference": "D"},
        {"case": "leap-second", "text": "x", "base": "", "preference": ["A"]},
        {"case": "leap-second", "text": "x", "base": "", "sent": 7},
    ],
)
def test_what_is_no_feedback_is_refused_and_changes_nothing(served: Served, body: object) -> None:
    served.enter()
    before = feedback(served.folder)
    answer = served.ask("POST", "save", body)
    assert answer.status == 400 and said(answer)["error"]
    assert feedback(served.folder) == before


def test_what_is_saved_stands_in_the_file_and_is_there_for_the_next_server(served: Served) -> None:
    served.enter()
    assert served.save("shorter", preference="B").status == 200
    whole = served.state()["overall"]["version"]
    assert served.ask("POST", "save", {"case": None, "text": "fine \ud800", "base": whole}).status == 200
    assert feedback(served.folder) == {
        "state": "open",
        "updated_at": "2026-04-22T06:11:55Z",
        "blind": False,
        "cases": {"leap-second": {"text": "shorter", "preference": "with_skill"}},
        "overall": {"text": "fine \ud800"},
    }
    other = Served(served.folder)
    other.enter()
    assert other.state()["cases"][0] == served.state()["cases"][0]
    assert other.state()["cases"][0]["preference"] == "B"


def test_two_tabs_do_not_overwrite_each_other(served: Served) -> None:
    served.enter()
    base = served.state()["cases"][0]["version"]
    assert served.save("mine").status == 200
    body = {"case": "leap-second", "text": "theirs", "base": base}
    late = served.ask("POST", "save", body)
    assert late.status == 409
    assert said(late)["entry"] == served.state()["cases"][0]
    assert served.state()["cases"][0]["text"] == "mine"
    same = served.ask("POST", "save", {**body, "text": "mine"})
    assert same.status == 200, "what stands there already is no conflict"
    followed = served.ask("POST", "save", {**body, "text": "mine too", "sent": {"text": "mine", "preference": None}})
    assert followed.status == 200, "a page that did not hear the answer goes on from what it sent"
    assert feedback(served.folder)["cases"]["leap-second"]["text"] == "mine too"


def test_a_blind_page_holds_no_name_of_an_arm_until_it_is_submitted(tmp_path: Path) -> None:
    iteration(tmp_path, 1)
    cases = [(f"case-{n}", "Do it.", ("names the version",)) for n in range(12)]
    served = Served(iteration(tmp_path, 2, arms=("with_skill", "baseline", "previous"), cases=cases), blind=True)
    page = served.enter().body.decode()
    assert not ARMS.search(page)
    shuffled = [served.app.review.letters(f"case-{n}", blind=True) for n in range(12)]
    assert len({tuple(one.values()) for one in shuffled}) > 2
    assert shuffled == [load(served.folder).letters(f"case-{n}", blind=True) for n in range(12)]
    for number, letters in enumerate(shuffled):
        version = served.state()["cases"][number]["version"]
        vote = {"case": f"case-{number}", "text": "", "preference": "A", "base": version}
        assert served.ask("POST", "save", vote).status == 200
        assert feedback(served.folder)["cases"][f"case-{number}"]["preference"] == letters["A"]
    assert not ARMS.search(json.dumps(served.state()))
    assert served.ask("POST", "submit", {}).status == 200
    assert feedback(served.folder)["state"] == "submitted" and feedback(served.folder)["blind"] is True
    revealed = served.ask("GET", "").body.decode()
    assert "Current skill" in revealed and "Previous skill" in revealed
    names = dict(zip("ABC", ("baseline", "previous", "with_skill")))
    assert [names[one["preference"]] for one in served.state()["cases"]] == [letters["A"] for letters in shuffled]


def test_a_blind_vote_stays_what_it_was_once_the_arms_are_known(tmp_path: Path) -> None:
    served = Served(iteration(tmp_path), blind=True)
    served.enter()
    served.save("", preference="tie")
    served.ask("POST", "submit", {})
    later = Served(served.folder)
    later.enter()
    assert later.save("on second thoughts", preference="A").status == 200
    assert feedback(served.folder)["cases"]["leap-second"] == {"text": "on second thoughts", "preference": "tie"}
    assert feedback(served.folder)["state"] == "submitted"


def test_a_review_that_was_begun_blind_stays_blind(tmp_path: Path) -> None:
    folder = iteration(tmp_path)
    Served(folder, blind=True)
    assert not ARMS.search(Served(folder).enter().body.decode())


def test_it_is_over_after_an_idle_hour_or_once_it_was_submitted_and_shown(served: Served) -> None:
    served.enter()
    served.seconds += IDLE_S - 1
    served.ask("GET", "state", cookie="")
    assert not served.app.over()
    served.seconds += 1
    assert served.app.over(), "who is not let in does not keep it alive"
    assert served.ask("GET", "state").status == 200
    assert not served.app.over()
    assert served.ask("POST", "submit", {}).status == 200
    assert not served.app.over() and served.closed
    assert served.save("too late").status == 410
    served.seconds += LINGER_S
    assert served.app.over()
    served.seconds -= LINGER_S
    page = served.ask("GET", "").body.decode()
    assert '"ended": true' in page
    assert served.app.over()


def test_what_cannot_be_written_is_said_and_nothing_is_taken_for_saved(served: Served) -> None:
    served.enter()
    served.save("first")
    served.app.feedback.path = served.folder / "no such" / "x" / "feedback.json"
    (served.folder / "no such").write_text("")
    answer = served.save("second")
    assert answer.status == 507 and "could not be saved" in said(answer)["error"]
    assert served.ask("POST", "submit", {}).status == 507
    assert served.state()["cases"][0]["text"] == "first" and served.state()["submitted"] is False
    assert feedback(served.folder)["cases"]["leap-second"]["text"] == "first"
    assert not served.app.over()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"state": "open"}', '{"state": 1, "blind": 0, "cases": [], "overall": {}}']
)
def test_a_file_that_is_no_feedback_is_never_written_over(tmp_path: Path, text: str) -> None:
    path = iteration(tmp_path) / "feedback.json"
    path.write_text(text)
    with pytest.raises(MegaCodeError, match="is no feedback of a review") as caught:
        Feedback(path)
    assert caught.value.code == "invalid_path"
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["runs.json", "iteration.json", "test-cases.json"])
@pytest.mark.parametrize("text", [None, "{", "{}", '{"runs": [{}], "arms": [1], "evals": [{}], "iteration": "x"}'])
def test_an_iteration_that_is_not_ready_is_named(tmp_path: Path, name: str, text: Optional[str]) -> None:
    folder = iteration(tmp_path)
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    with pytest.raises(MegaCodeError, match="cannot be reviewed") as caught:
        load(folder)
    assert caught.value.code == "invalid_path" and str(folder) in caught.value.message
