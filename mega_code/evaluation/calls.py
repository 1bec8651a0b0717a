"""Asking a model: remembered answers first, then within the budget, several at a time, and again after trouble."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import NamedTuple, Optional

from mega_code.evaluation import tracing
from mega_code.evaluation.budget import Budget, Spent, most_tokens
from mega_code.evaluation.models.base import Completion, Model, ModelError, Request
from mega_code.evaluation.store import Store

ATTEMPTS = 6
BACKOFF_S = 2.0
TURN_S = 0.25
GRACE_S = 2.0


class ModelUnavailable(ModelError):
    """The model gave no answer for as long as patience lasts."""


@dataclass
class _Question:
    """A request on its way; times by the clock of its Calls."""

    request: Request
    key: str
    attempts: int = 0
    first_sent: float = 0.0
    ready_at: float = 0.0


class _Sent(NamedTuple):
    question: _Question
    ticket: int
    held: Spent


class _Course:
    """What one `complete_all` has waiting, in the air and answered."""

    def __init__(self, questions: Sequence[_Question]) -> None:
        self.waiting = deque(questions)
        self.later: list[_Question] = []
        self.flying: dict[Future[Completion], _Sent] = {}
        self.answers: dict[str, Completion] = {}


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
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`check` is called between calls, from the thread that asks; what it raises ends the asking."""
        self.model, self.store, self.job, self.budget, self.executor = model, store, job, budget, executor
        self.check, self.patience_s, self.sleep, self.clock = check, patience_s, sleep, clock
        self._slots = threading.Semaphore(concurrency)
        self._silent_until = 0.0
        self.landed = 0
        """How many answers have come, beside the remembered ones."""

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
        course.waiting.extendleft(reversed(due))
        while course.waiting and now >= self._silent_until and self._slots.acquire(blocking=False):
            question = course.waiting[0]
            held = self._reserve(question)
            if held is None:
                return
            try:
                begun.append(_Sent(question, self.store.begin(self.job, question.key, held), held))
            except BaseException:
                self._slots.release()
                self.budget.forfeit(held)
                raise
            course.waiting.popleft()

    def _reserve(self, question: _Question) -> Optional[Spent]:
        """The most that a call can use, set aside; without room for it, its slot is given back."""
        held = None
        try:
            held = self.budget.reserve(*most_tokens(question.request, self.model.overhead_tokens))
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
                self._again_later(sent.question, error)
                course.later.append(sent.question)

    def _land(self, sent: _Sent, future: Future[Completion]) -> Completion:
        """Keep what a call has brought and what it has cost."""
        try:
            completion = future.result()
        except ModelError as error:
            if error.charged:
                self.budget.forfeit(sent.held)
            else:
                self.store.fail(sent.ticket)
                self.budget.release(sent.held)
            raise
        except BaseException:
            self.budget.forfeit(sent.held)
            raise
        self.landed += 1
        self.budget.settle(sent.held, completion)
        return self.store.settle(sent.ticket, completion)

    def _again_later(self, question: _Question, error: ModelError) -> None:
        """Set the time of the next attempt. Raises the error where there is to be none."""
        if not error.transient:
            raise error
        now = self.clock()
        backoff = BACKOFF_S * 2 ** (question.attempts - 1) * random.uniform(0.75, 1.0)
        pause = max(backoff, error.retry_after_s or 0.0)
        tried = f"{question.attempts} attempt{'s' if question.attempts > 1 else ''}"
        if question.attempts >= ATTEMPTS:
            raise ModelUnavailable(f"{error} That was the last of {tried}.") from error
        if now + pause - question.first_sent > self.patience_s:
            raise ModelUnavailable(
                f"{error} After {tried} another one would come later than MEGA_CODE_MODEL_PATIENCE_S"
                f" ({self.patience_s:g} s) allows."
            ) from error
        question.ready_at = now + pause
        if error.retry_after_s is not None:
            self._silent_until = max(self._silent_until, question.ready_at)

    def _abandon(self, course: _Course) -> None:
        """Keep what lands within a moment, and end the rest."""
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
