"""Runs tasks in forked processes, so that a kernel that crashes ends its own process only."""

from __future__ import annotations

import multiprocessing as mp
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, cast


class CrashError(Exception):
    """The process of a task ended before it gave a result."""


def _child(task: Callable[[], Any], pipe: Connection) -> None:
    try:
        pipe.send(task())
    except Exception as error:
        pipe.send(error)


def run(tasks: Sequence[Callable[[], Any]], processes: int) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) as tasks end; an exception, or CrashError, is a result too."""
    context = mp.get_context("fork")
    waiting = list(enumerate(tasks))[::-1]
    running: dict[Connection, tuple[int, Any]] = {}
    while waiting or running:
        while waiting and len(running) < processes:
            index, task = waiting.pop()
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(task, sender), daemon=True)
            process.start()
            sender.close()
            running[receiver] = (index, process)
        for ready in wait(list(running)):
            receiver = cast(Connection, ready)
            index, process = running.pop(receiver)
            try:
                result = receiver.recv()
            except EOFError:
                result = None
            process.join()
            if process.exitcode:
                code = -process.exitcode
                name = signal.Signals(code).name if code > 0 else f"exit code {process.exitcode}"
                result = CrashError(f"its process ended with {name}")
            yield index, result
