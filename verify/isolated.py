"""Calls in a process of their own: a crash or an endless loop ends that process only."""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import signal
from collections.abc import Callable, Generator, Sequence
from typing import BinaryIO, TypeVar

Result = TypeVar("Result")


class CrashError(Exception):
    """A call's process ended before it gave a result."""


class TimeLimitError(Exception):
    """A call used up its time."""


def call(task: Callable[[], Result], seconds: int) -> Result:
    """What `task()` returns or raises, run in a forked process; see `each`."""
    return next(each((task,), seconds))


def each(tasks: Sequence[Callable[[], Result]], seconds: int) -> Generator[Result, None, None]:
    """What the tasks return, one after the other in one forked process.

    What a task raises is raised here, and ends it.  Whoever stops listening ends it too.
    `seconds` is CPU time for each task, also of each process that it starts, so a busy machine
    changes no result.  Raises TimeLimitError when it is used up, CrashError if the process ends
    otherwise.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(tasks, seconds, writer)
    os.close(writer)
    listening = True
    try:
        with os.fdopen(reader, "rb") as pipe:
            for _ in tasks:
                try:
                    result: Result | Exception = pickle.load(pipe)
                except (EOFError, pickle.UnpicklingError):
                    listening = False
                    break
                if isinstance(result, Exception):
                    raise result
                yield result
    finally:
        if listening:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if listening:
        return
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGALRM):
        raise TimeLimitError(f"{seconds} s of CPU time were not enough")
    raise CrashError(signal.Signals(-code).name if code < 0 else f"exit code {code}")


def _answer(tasks: Sequence[Callable[[], object]], seconds: int, writer: int) -> None:
    """The child's life."""
    try:
        # A crash is expected: no traceback, no last words of libc, no core file.
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(writer, "wb") as pipe:
            for task in tasks:
                _limit(seconds)
                _send(task, pipe)
    except BaseException:
        os._exit(70)  # EX_SOFTWARE: the answer could not be given
    os._exit(0)  # without the parent's exit handlers


def _limit(seconds: int) -> None:
    """From now on, so much more CPU time; and an end, should it wait for ever instead."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
    signal.alarm(100 * seconds)


def _send(task: Callable[[], object], pipe: BinaryIO) -> None:
    try:
        answer = pickle.dumps(task())
    except Exception as error:
        answer = pickle.dumps(error)
    pipe.write(answer)
    pipe.flush()
