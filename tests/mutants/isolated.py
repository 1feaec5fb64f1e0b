"""One call in a process of its own: a crash or an endless loop ends that call only."""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import signal
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class CrashError(Exception):
    """The call's process ended before it gave a result."""


class TimeLimitError(Exception):
    """The call used up its time."""


def call(task: Callable[[], Result], seconds: int) -> Result:
    """What `task()` returns or raises, run in a forked process.

    `seconds` is CPU time, also of each process that the task starts, so a busy machine changes no
    result.  Raises TimeLimitError when it is used up, CrashError if the process ends otherwise.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(task, seconds, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGALRM):
        raise TimeLimitError(f"{seconds} s of CPU time were not enough")
    if code:
        raise CrashError(signal.Signals(-code).name if code < 0 else f"exit code {code}")
    result: Result | Exception = pickle.loads(answer)
    if isinstance(result, Exception):
        raise result
    return result


def _answer(task: Callable[[], object], seconds: int, writer: int) -> None:
    """The child's life."""
    try:
        # A crash is expected: no traceback, no last words of libc, no core file.
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        signal.alarm(100 * seconds)  # should it wait for ever instead
        try:
            answer = pickle.dumps(task())
        except Exception as error:
            answer = pickle.dumps(error)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(answer)
    except BaseException:
        os._exit(70)  # EX_SOFTWARE: the answer could not be given
    os._exit(0)  # without the parent's exit handlers
