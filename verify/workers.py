"""Runs tasks in other processes, so that a kernel that crashes ends its own process only."""

from __future__ import annotations

import multiprocessing as mp
import os
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
                result = crash(process.exitcode)
            yield index, result


def crash(exitcode: int | None) -> CrashError:
    """What a process's end says in place of a result."""
    code = -(exitcode or 0)
    name = signal.Signals(code).name if code > 0 else f"exit code {exitcode}"
    return CrashError(f"its process ended with {name}")


def _serve(pipe: Connection, is_usable: Callable[[], bool]) -> None:
    """A serving process's life: tasks in, results out, until it can do no more."""
    while (task := pipe.recv()) is not None:
        try:
            result = task()
        except Exception as error:
            result = error
        goes_on = is_usable()
        pipe.send((result, goes_on))
        if not goes_on:
            os._exit(0)  # nothing is left that could be put in order


def serve(
    tasks: Sequence[Callable[[], Any]], processes: int, is_usable: Callable[[], bool]
) -> Iterator[tuple[int, Any]]:
    """As `run`, in a few new processes that take one task after another.

    For what does not survive a fork.  Tasks, results and `is_usable` are pickled; where the latter
    says no after a task, or a process ends, another takes its place.
    """
    context = mp.get_context("spawn")
    waiting = list(enumerate(tasks))[::-1]
    idle: list[tuple[Connection, Any]] = []
    running: dict[Connection, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                if not idle:
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_serve, args=(theirs, is_usable), daemon=True)
                    process.start()
                    theirs.close()
                    idle.append((ours, process))
                pipe, process = idle.pop()
                index, task = waiting.pop()
                pipe.send(task)
                running[pipe] = (index, process)
            for ready in wait(list(running)):
                pipe = cast(Connection, ready)
                index, process = running.pop(pipe)
                try:
                    result, goes_on = pipe.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    result, goes_on = crash(process.exitcode), False
                if goes_on:
                    idle.append((pipe, process))
                yield index, result
    finally:
        for pipe, _ in idle:
            pipe.send(None)
        for _, process in running.values():  # whoever asked no longer listens
            process.kill()
