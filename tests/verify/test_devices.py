"""Where kernels run: processes that are replaced, options that are refused, waits that end."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

from verify import devices, workers
from verify.case import Case, Shape

broken: list[bool] = []  # of a serving process: its GPU can no longer be used


def is_usable() -> bool:
    return not broken


def breaks_its_gpu() -> int:
    broken.append(True)
    return os.getpid()


def fails() -> None:
    raise ValueError("no")


def crashes() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_serving_processes_take_task_after_task() -> None:
    tasks = [os.getpid] * 4
    pids = {result for _, result in workers.serve(tasks, 1, is_usable)}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_a_process_that_lost_its_gpu_or_its_life_is_replaced() -> None:
    tasks: list[Callable[[], Any]] = [breaks_its_gpu, fails, crashes, os.getpid]
    results = dict(workers.serve(tasks, 1, is_usable))
    assert isinstance(results[0], int)
    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], workers.CrashError)
    assert "SIGKILL" in str(results[2])
    assert isinstance(results[3], int)
    assert results[3] != results[0]


class Endless:
    """An event of work that never ends."""

    def record(self) -> None: ...

    def query(self) -> bool:
        return False


def test_a_launch_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Endless)
    with pytest.raises(devices.TimeLimitError, match="not done after 0 s"):
        devices.wait(0.01)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert not devices.is_usable(0.01)


def test_launches_on_a_gpu_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr(devices, "wait", lambda _: happened.append("wait"))
    launch = devices.waiting(lambda *_: happened.append("launch"))
    launch(SimpleNamespace(), {})
    assert happened == ["launch", "wait"]


def test_where_tensors_are() -> None:
    assert [devices.tensors_on(name) for name in devices.NAMES] == ["cpu", "cuda", "mps"]


def held(lock: Path) -> bool:
    """Whether another process has to wait for the lock."""
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    done = subprocess.run([sys.executable, "-c", code, str(lock)], stderr=subprocess.DEVNULL)
    return done.returncode != 0


def test_cases_that_need_much_memory_run_one_at_a_time_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "BUILD", tmp_path)
    far = Case("far", Shape((9,), (9,), 2, 2), layout="far")
    with devices.room_for(far, "cuda"):
        assert held(tmp_path / "far.lock")
    assert not held(tmp_path / "far.lock")
    (tmp_path / "far.lock").unlink()
    with devices.room_for(far, "emulator"), devices.room_for(Case("one", far.shape), "cuda"):
        assert not (tmp_path / "far.lock").exists()


def test_devices_are_chosen_by_name() -> None:
    parser = argparse.ArgumentParser()
    devices.add_option(parser, ("emulator", "cuda"))
    assert parser.parse_args([]).device == "emulator"
    assert parser.parse_args(["--device", "cuda"]).device == "cuda"


class Ended(NamedTuple):
    """What a program left."""

    status: object
    stdout: str
    stderr: str


Program = Callable[..., Ended]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Runs a program in this process: torch is imported already."""

    def run(name: str, *arguments: str) -> Ended:
        program = import_module(f"verify.{name}.__main__")
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        try:
            status = program.main()
        except SystemExit as end:
            status = end.code
        return Ended(status, *capsys.readouterr())

    return run


@pytest.mark.parametrize("program", ["parity", "foreign"])
def test_the_checks_are_refused_on_a_gpu(program: str, ran: Program) -> None:
    done = ran(program, "--device", "cuda", "--check")
    assert done.status == 2
    assert "--check goes with --device emulator, not with --device cuda" in done.stderr
    assert "nox -s sanitize" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("program", ["parity", "fuzz", "mutants", "foreign"])
def test_without_a_gpu_one_line_says_what_is_missing(program: str, ran: Program) -> None:
    done = ran(program, "--device", "cuda")
    assert done.status == 2
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("--device cuda: ")
    assert not done.stderr


def test_tasks_of_one_process_are_done_in_order() -> None:
    done = list(devices.each([partial(int, "3"), partial(int, "4")], "mps"))
    assert done == [(0, 3), (1, 4)]


PROGRAM = """
from functools import partial
from verify import devices, workers

def double(x):
    return 2 * x

if __name__ == "__main__":
    tasks = [partial(double, x) for x in (1, 2)]
    print(sorted(workers.serve(tasks, 2, devices.is_usable)))
"""


def test_tasks_may_be_functions_of_the_program_itself(tmp_path: Path) -> None:
    """As parity's are, which is a package that `python -m` runs."""
    package = tmp_path / "program"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM)
    found = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
    done = subprocess.run(
        [sys.executable, "-m", "program"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": found},
    )  # fmt: skip
    assert done.stdout == "[(0, 2), (1, 4)]\n", done.stderr


@pytest.mark.parametrize("program", ["fuzz", "mutants", "sanitize"])
@pytest.mark.parametrize("count", ["0", "-3", "all"])
def test_there_is_a_process_at_least(program: str, count: str, ran: Program) -> None:
    done = ran(program, "--processes", count)
    assert done.status == 2
    assert f"--processes: '{count}': must be a whole number, at least 1" in done.stderr
