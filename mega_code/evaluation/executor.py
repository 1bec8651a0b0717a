"""Where model calls run: in threads of this process, or on a `distributed` cluster (`MEGA_CODE_EXECUTOR`)."""

from __future__ import annotations

import concurrent.futures
import functools
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from typing import Any, Callable, Optional, TypeVar
from urllib.parse import urlsplit

from mega_code.errors import MegaCodeError
from mega_code.evaluation.models.base import ModelError

EXECUTOR = "MEGA_CODE_EXECUTOR"
CONNECT_S = 8
T = TypeVar("T")


def executor(env: Mapping[str, str]) -> Executor:
    """The executor that `MEGA_CODE_EXECUTOR` names; threads where it is unset.

    Raises MegaCodeError `invalid_arguments` for no such executor or one whose package is missing, `network_failure`
    where the cluster does not answer.
    """
    address = env.get(EXECUTOR, "").strip()
    return _cluster(address) if address else Threads()


class Threads(Executor):
    """Daemon threads, which hold nobody up when the process ends; whoever submits bounds their number.

    A thread that has nothing to do takes the next call: starting one takes longer than sending a request.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Optional[Callable[[], Callable[[], None]]]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._started = 0
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        """Raises RuntimeError after `shutdown`."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise RuntimeError("These threads take no more calls.")
            if not self._idle.acquire(blocking=False):
                threading.Thread(target=self._serve, name="model call", daemon=True).start()
                self._started += 1
            self._calls.put(lambda: _outcome(future, fn, args, named))
        return future

    def _serve(self) -> None:
        for call in iter(self._calls.get, None):
            tell = call()
            self._idle.release()  # before the end is told, since who hears of it may have the next call
            tell()
            del call, tell  # what they hold is not kept until the next one comes

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let each thread end with the call that it is at; none is waited for."""
        with self._lock:
            self._closed = True
            for _ in range(self._started):
                self._calls.put(None)


def _outcome(
    future: Future[T], fn: Callable[..., T], args: tuple[Any, ...], named: dict[str, Any]
) -> Callable[[], None]:
    """What tells `future` how the call has ended."""
    try:
        result = fn(*args, **named)
    except BaseException as error:
        return functools.partial(future.set_exception, error)
    return functools.partial(future.set_result, result)


class Cluster(Executor):
    """The executor of a `distributed` client, whose own troubles become ModelErrors.

    A call whose worker dies is run again by the cluster on another one, under the attempt it was noted with.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        # Not pure: a repeated call is asked again, not answered with the failure of the one before.
        self._executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            inner = self._executor.submit(fn, *args, **named)
        except Exception as error:
            future.set_exception(_trouble(error))
        else:
            inner.add_done_callback(lambda done: _hand_on(done, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; what is still asked there is cancelled."""
        self._client.close(timeout=CONNECT_S)


def _hand_on(done: Future[T], future: Future[T]) -> None:
    if done.cancelled():
        future.set_exception(ModelError("The cluster has dropped the call.", transient=True, charged=True))
        return
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(_trouble(error) if _of_the_cluster(error) else error)


def _of_the_cluster(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("distributed", "dask", "tornado") or isinstance(error, OSError)


def _trouble(error: BaseException) -> ModelError:
    return ModelError(f"The cluster failed: {type(error).__name__}.", transient=True, charged=True)


def _cluster(address: str) -> Cluster:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "dask" and bool(parts.hostname and parts.port) and not parts.path.strip("/")
    except ValueError:
        usable = False
    if not usable:
        raise MegaCodeError(
            "invalid_arguments", f"MEGA_CODE_EXECUTOR is {address[:80]!r}; it looks like dask://host:8786."
        )
    try:
        from distributed import Client
    except ImportError:
        raise MegaCodeError(
            "invalid_arguments", "MEGA_CODE_EXECUTOR needs the cluster extra: pip install 'mega-code[cluster]'."
        ) from None
    # In a thread of its own, since the client waits for ever for a peer that accepts and says nothing.
    aside = Threads()
    connecting = aside.submit(Client, f"tcp://{parts.netloc}", timeout=CONNECT_S, set_as_default=False)
    aside.shutdown()
    try:
        return Cluster(connecting.result(CONNECT_S + 1))
    except (OSError, TimeoutError, concurrent.futures.TimeoutError) as error:
        raise MegaCodeError(
            "network_failure", f"The cluster at {parts.netloc} does not answer ({type(error).__name__})."
        ) from None
