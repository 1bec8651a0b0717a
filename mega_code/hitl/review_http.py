"""The HTTP side of a review: who may ask for what, without a socket or a clock.

Everything lies below a path that cannot be guessed, so the cookie goes to no other server of this machine: cookies do
not tell ports apart. The address carries a token that works once and is exchanged for that cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional
from urllib.parse import parse_qs

from mega_code.hitl import page
from mega_code.hitl.feedback import OVERALL, TEXT_CHARACTERS, TIE, Changed, Entry, Feedback
from mega_code.hitl.review_data import Review

BODY_BYTES = 256 * 1024
IDLE_S = 3600.0
LINGER_S = 10.0
COOKIE = "review"
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Ask(NamedTuple):
    """A request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    """A response."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Door(NamedTuple):
    """Where the review is served and who comes in.

    `exchange` takes the hash of a token, once, and keeps a session's; after `close` nobody is sent here any more.
    """

    origin: str
    path: str
    exchange: Callable[[str, str], bool]
    knows: Callable[[str], bool]
    close: Callable[[], None]


class Refused(Exception):
    """A request that is not answered as asked."""

    def __init__(self, status: int, why: str, **more: object) -> None:
        super().__init__(why)
        self.status, self.why, self.more = status, why, more


class App:
    """One review being served. `clock` gives seconds."""

    def __init__(self, review: Review, feedback: Feedback, door: Door, clock: Callable[[], float]) -> None:
        self.review, self.feedback, self.door, self.clock = review, feedback, door, clock
        self.asked_at = clock()
        self.submitted_at: Optional[float] = None
        self.revealed = False
        self.bodies: dict[bool, str] = {}
        self.building = threading.Lock()

    def over(self, idle_s: float = IDLE_S) -> bool:
        """Whether nobody needs it any more: submitted and shown so, or idle."""
        if self.submitted_at is not None:
            return self.revealed or self.clock() - self.submitted_at >= LINGER_S
        return self.clock() - self.asked_at >= idle_s

    def answer(self, ask: Ask) -> Answer:
        """The response to a request. Never raises."""
        try:
            if ask.headers.get("host") != self.door.origin.partition("://")[2]:
                raise Refused(403, "This server answers to its own address only.")
            if not ask.path.startswith(self.door.path):
                raise Refused(404, "There is nothing here.")
            return self._route(ask, ask.path[len(self.door.path) :])
        except Refused as refused:
            if ask.method == "POST":
                return _json(refused.status, {"error": refused.why, **refused.more})
            return _html(refused.status, page.notice(refused.why), "default-src 'none'")

    def _route(self, ask: Ask, name: str) -> Answer:
        if ask.method == "GET" and name == "":
            return self._page(ask)
        self._admit(ask)
        if ask.method == "GET" and name == "state":
            return _json(200, self._state())
        if ask.method == "POST" and name in ("save", "submit"):
            self._same_origin(ask)
            return self._save(_body(ask)) if name == "save" else self._submit()
        raise Refused(404, "There is nothing here.")

    def _admit(self, ask: Ask) -> None:
        if not any(self.door.knows(digest(session)) for session in _sessions(ask.headers.get("cookie", ""))):
            raise Refused(403, "This address has been used, or is not complete. Ask for a new one where you got it.")
        self.asked_at = self.clock()

    def _same_origin(self, ask: Ask) -> None:
        if ask.headers.get("origin") != self.door.origin or ask.headers.get("content-type") != "application/json":
            raise Refused(403, "Only the review page itself may send feedback.")

    def _page(self, ask: Ask) -> Answer:
        cookies: dict[str, str] = {}
        token = parse_qs(ask.query).get("token", [""])[0]
        session = secrets.token_urlsafe(32)
        if token and self.door.exchange(digest(token), digest(session)):
            cookies["Set-Cookie"] = f"{COOKIE}={session}; Path={self.door.path}; HttpOnly; SameSite=Strict"
            self.asked_at = self.clock()
        else:
            self._admit(ask)
        nonce = secrets.token_urlsafe(16)
        shown = page.document(self._body(), self._state(), nonce)
        self.revealed = self.revealed or self.submitted_at is not None
        return _html(200, shown, page.policy(nonce), cookies)

    @property
    def _blind(self) -> bool:
        return self.feedback.blind and not self.feedback.submitted

    def _body(self) -> str:
        with self.building:
            blind = self._blind
            if blind not in self.bodies:
                self.bodies[blind] = page.body(self.review, blind)
            return self.bodies[blind]

    def _state(self) -> dict[str, Any]:
        return page.state(self.review, self.feedback, self._blind, ended=self.submitted_at is not None)

    def _save(self, body: dict[str, Any]) -> Answer:
        case = body.get("case")
        if case is not OVERALL and case not in [one.id for one in self.review.cases]:
            raise Refused(400, "There is no such case.")
        if self.submitted_at is not None:
            raise Refused(410, "The review was submitted; what is written now is not saved.")
        entry, bases = self._entry(case, body), [str(body.get("base"))]
        if body.get("sent") is not None:  # sent before this, from the same page, which did not hear of it yet
            bases.append(self._entry(case, body["sent"]).version)
        try:
            self.feedback.save(case, entry, bases)
        except Changed as changed:
            shown = page.entry(self.review, case, changed.entry, self._blind)
            raise Refused(409, "This was changed elsewhere.", entry=shown) from None
        except OSError as error:
            raise Refused(507, f"It could not be saved: {error.strerror or error}.") from None
        return _json(200, {"version": entry.version})

    def _entry(self, case: Optional[str], value: Any) -> Entry:
        text = value.get("text") if isinstance(value, dict) else None
        if not isinstance(text, str) or len(text) > TEXT_CHARACTERS:
            raise Refused(400, f"A text has at most {TEXT_CHARACTERS} characters.")
        return Entry(text, self._arm(case, value.get("preference")))

    def _arm(self, case: Optional[str], choice: object) -> Optional[str]:
        """The arm behind a vote; a vote that was cast blind stays what it was once the arms are known."""
        if case is OVERALL:
            return None
        if self.feedback.blind and self.feedback.submitted:
            return self.feedback.entry(case).preference
        letters = {**self.review.letters(case, self._blind), TIE: TIE}
        if choice is None:
            return None
        if not isinstance(choice, str) or choice not in letters:
            raise Refused(400, "There is no such output to prefer.")
        return letters[choice]

    def _submit(self) -> Answer:
        try:
            self.feedback.submit()
        except OSError as error:
            raise Refused(507, f"It could not be submitted: {error.strerror or error}.") from None
        self.submitted_at = self.clock()
        self.door.close()
        return _json(200, {"submitted": True})


def _sessions(cookies: str) -> list[str]:
    """What stands under our name. Other servers of this machine may send along cookies of any shape."""
    pairs = [pair.strip().partition("=") for pair in cookies.split(";")]
    return [value for name, _, value in pairs if name == COOKIE]


def digest(secret: str) -> str:
    """What is kept of a token or a session."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def among(wanted: str, known: list[str]) -> bool:
    """Whether a hash is one of those; the time it takes does not tell how near it came."""
    return any(hmac.compare_digest(wanted, one) for one in known)


def _body(ask: Ask) -> dict[str, Any]:
    try:
        value = json.loads(ask.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "That is no JSON object.")
    return value


def _json(status: int, value: object) -> Answer:
    return Answer(status, json.dumps(value).encode(), {**HEADERS, "Content-Type": "application/json"})


def _html(status: int, text: str, policy: str, more: Optional[Mapping[str, str]] = None) -> Answer:
    headers = {**HEADERS, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, **(more or {})}
    return Answer(status, text.encode("utf-8", "replace"), headers)
