"""Asking a model: remembered answers first, then within the budget, several at a time, and again after trouble."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import NamedTuple, Optional

from mega_code.evaluation import tracing
from mega_code.evaluation.budget import Budget, BudgetSpent, Spent, most_tokens
from mega_code.evaluation.models.base import Completion, Model, ModelError, Request
from mega_code.evaluation.patience import ATTEMPTS, Patience
from mega_code.evaluation.store import Store

TURN_S = 0.25
GRACE_S = 2.0


@dataclass
class _Question:
    """A request on its way; times by the clock of its Calls."""

    request: Request
    key: str
    attempts: int = 0
    first_sent: float = 0.0
    ready_at: float = 0.0


class _Sent(NamedTuple):
    """A call on its way; `when` is what `Patience.sent` said."""

    question: _Question
    ticket: int
    held: Spent
    when: int


class _Course:
    """What one `complete_all` has waiting, in the air and answered."""

    def __init__(self, questions: Sequence[_Question]) -> None:
        self.waiting = deque(questions)
        self.later: list[_Question] = []
        self.flying: dict[Future[Completion], _Sent] = {}
        self.answers: dict[str, Completion] = {}


class NotKnown(Exception):
    """A request was never answered."""


class Calls:
    """One job's calls of one model. May be used by several threads; they share its concurrency."""

    def __init__(
        self,
        model: Model,
        store: Store,
        job: str,
        budget: Budget,
        executor: Executor,
        concurrency: int = 8,
        check: Callable[[], object] = lambda: None,
        *,
        patience_s: float = 300.0,
        begun: Callable[[], object] = lambda: None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`check` is called between calls, from the thread that asks; what it raises ends the asking. `begun` is called
        before calls are sent, when they are noted."""
        self.model, self.store, self.job, self.budget, self.executor = model, store, job, budget, executor
        self.check, self.begun, self.sleep, self.clock = check, begun, sleep, clock
        self._slots = threading.Semaphore(concurrency)
        self._patience = Patience(patience_s)

    def key(self, request: Request) -> str:
        """What the answer to a request is remembered by; who asks for what purpose does not change the answer."""
        asked = [self.model.key(), *request[1:]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def complete(self, request: Request) -> Completion:
        """As `complete_all`, for one."""
        return self.complete_all([request])[0]

    def complete_all(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers in the order of the requests; identical ones are asked once.

        Raises BudgetSpent before a call that could pass a limit, ModelUnavailable where trouble outlasts patience,
        ModelError where trying again is no use, and what `check` raises. Nothing is begun after that, and what is in
        flight is kept where it comes within a moment.
        """
        keys = [self.key(request) for request in requests]
        answers: dict[str, Completion] = {}
        missing: list[_Question] = []
        for key, request in dict(zip(keys, requests)).items():
            known = self.store.get(self.job, key)
            if known is None:
                missing.append(_Question(request, key))
            else:
                answers[key] = known
                tracing.remembered(self.model, request, known)
        course = _Course(missing)
        try:
            while course.waiting or course.later or course.flying:
                self.check()
                self._turn(course)
                self._await(course)
        except BaseException:
            self._abandon(course)
            raise
        answers.update(course.answers)
        return [answers[key] for key in keys]

    def _turn(self, course: _Course) -> None:
        """Keep what has landed and send what there is room for; all of it is noted in one go, before any is sent."""
        begun: list[_Sent] = []
        try:
            with self.store.together():
                self._collect(course)
                self._begin(course, begun)
            if begun:
                self.begun()
            while begun:
                self._submit(course, begun[0])
                del begun[0]
        finally:  # nobody knows of these whether they were sent
            for sent in begun:
                self._slots.release()
                self.budget.forfeit(sent.held)

    def _begin(self, course: _Course, begun: list[_Sent]) -> None:
        """Note the calls, in order, for which there are slots and room in the budget."""
        now = self.clock()
        due = [question for question in course.later if question.ready_at <= now]
        course.later = [question for question in course.later if question.ready_at > now]
        if self._patience.trouble:  # one that has not failed yet tells more of the model
            course.waiting.extend(due)
        else:
            course.waiting.extendleft(reversed(due))
        while course.waiting and self._patience.may_send(now) and self._slots.acquire(blocking=False):
            question = course.waiting[0]
            held = self._reserve(question)
            if held is None:
                return
            try:
                ticket = self.store.begin(self.job, question.key, held)
                begun.append(_Sent(question, ticket, held, self._patience.sent()))
            except BaseException:
                self._slots.release()
                self.budget.forfeit(held)
                raise
            course.waiting.popleft()

    def _reserve(self, question: _Question) -> Optional[Spent]:
        """The most that a call can use, set aside; without room for it, its slot is given back.

        Raises BudgetSpent, which tells of the model's trouble where it is that which has used the budget up.
        """
        held = None
        try:
            held = self.budget.reserve(*most_tokens(question.request, self.model.overhead_tokens))
        except BudgetSpent as error:
            trouble = self._patience.trouble
            raise BudgetSpent(f"{error} The last one failed: {trouble}" if trouble else str(error)) from None
        finally:
            if held is None:
                self._slots.release()
        return held

    def _submit(self, course: _Course, sent: _Sent) -> None:
        question = sent.question
        span = tracing.asked(self.model, question.request)
        future = self.executor.submit(self.model.complete, question.request)
        future.add_done_callback(lambda done: tracing.answered(span, done))
        question.attempts += 1
        question.first_sent = question.first_sent or self.clock()
        course.flying[future] = sent

    def _await(self, course: _Course) -> None:
        """Until a call lands or may be sent again, a turn at most."""
        now = self.clock()
        next_at = min((question.ready_at for question in course.later), default=now + TURN_S)
        pause = min(TURN_S, max(0.0, next_at - now))
        if course.flying:
            wait(course.flying, pause, FIRST_COMPLETED)
        elif course.waiting or course.later:
            self.sleep(pause)

    def _collect(self, course: _Course) -> None:
        for future in [future for future in course.flying if future.done()]:
            sent = course.flying.pop(future)
            self._slots.release()
            try:
                course.answers[sent.question.key] = self._land(sent, future)
            except ModelError as error:
                self._ask_again(course, sent, error)

    def _land(self, sent: _Sent, future: Future[Completion]) -> Completion:
        """Keep what a call has brought and what it has cost. Raises what it has failed of."""
        try:
            completion = future.result()
        except ModelError as error:
            if error.charged:
                self.budget.forfeit(sent.held)
            elif not error.sent:
                self.store.withdraw(sent.ticket)
                self.budget.withdraw(sent.held)
            else:
                self.store.fail(sent.ticket)
                self.budget.release(sent.held)
            raise
        except BaseException:
            self.budget.forfeit(sent.held)
            raise
        self._patience.answered(sent.when)
        self.budget.settle(sent.held, completion)
        return self.store.settle(sent.ticket, completion)

    def _ask_again(self, course: _Course, sent: _Sent, error: ModelError) -> None:
        """At once and in another way where the model asks for that, else later. Raises where there is no use in it."""
        question = sent.question
        if error.lesson and question.attempts < ATTEMPTS:
            self.model.learn(error.lesson)
            self._patience.answered(sent.when)
            course.waiting.appendleft(question)
            return
        now = self.clock()
        question.ready_at = self._patience.failed(error, sent.when, question.attempts, question.first_sent, now)
        course.later.append(question)

    def _abandon(self, course: _Course) -> None:
        """Keep what lands within a moment, and end the rest."""
        self._patience.lost()
        late = wait(course.flying, GRACE_S).not_done
        for future, sent in course.flying.items():
            future.add_done_callback(lambda _: self._slots.release())
            if future in late:
                self.budget.forfeit(sent.held)
                continue
            try:
                self._land(sent, future)
            except Exception:
                continue  # the first trouble is what the caller hears of
        if late:
            self.model.close()


class Remembered:
    """Gives the answers that a job's calls have brought, and sends nothing."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def complete_all(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers in the order of the requests. Raises NotKnown."""
        calls = self.calls
        known = [calls.store.get(calls.job, calls.key(request)) for request in requests]
        found = [completion for completion in known if completion is not None]
        if len(found) < len(known):
            raise NotKnown
        return found
