"""The mutants themselves: the lethal ones die, the unbroken templates do not."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from jinja2 import DictLoader
from rich.console import Console

import emulator
from codegen import matrix, render
from codegen.tile_shapes import FRAGMENT, PrefillTile
from emulator.cuda import gpu
from verify import devices, isolated
from verify.case import Case
from verify.cases import cases
from verify.mutants import by_case, trial
from verify.mutants.__main__ import as_json, select, shard
from verify.mutants.breeding import BY_HAND_OPERATOR, Mutant, breed, standing, templates
from verify.mutants.by_hand import BY_HAND
from verify.mutants.operators import OPERATORS
from verify.mutants.report import Score, print_report, summary
from verify.mutants.verdict import Reason, Store, Verdict, flat, orphans, reasons
from verify.run import Launch, Outcome, run
from verify.variants import Variant

TEXTS = templates()
MUTANTS = breed(TEXTS)
STANDING = standing(MUTANTS)
ORIGINALS = trial.shaders(TEXTS)

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def mutant(was: str, becomes: str) -> Mutant:
    """The mutant with this change."""
    return next(m for m in MUTANTS if (flat(m.line), flat(m.becomes)) == (was, becomes))


def test_there_are_enough() -> None:
    assert len(STANDING) >= 200
    assert sum(m.operator == BY_HAND_OPERATOR for m in STANDING) == len(BY_HAND)
    assert {(m.file, m.operator) for m in STANDING} == {(m.file, m.operator) for m in MUTANTS}


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_every_operator_and_file_has_mutants(operator: object) -> None:
    assert any(m.operator == operator.name for m in MUTANTS)  # type: ignore[attr-defined]
    assert {m.file for m in MUTANTS} >= TEXTS.keys() - {
        "parts/arguments.metal.j2",
        "parts/kernels.metal.j2",
        "parts/parameters.metal.j2",
        "parts/query_tile.metal.j2",  # numbers, from the table of tiles
    }


def test_ids_are_unique() -> None:
    assert len({m.id for m in MUTANTS}) == len(MUTANTS)


def test_ids_do_not_depend_on_the_lines_around() -> None:
    moved = {file: f"// a new line\n\n{text}// and one more\n" for file, text in TEXTS.items()}
    assert {m.id for m in breed(moved)} == {m.id for m in MUTANTS}


def lines_rendered(variants: Iterable[matrix.Variant]) -> set[str]:
    """The templates' lines, each as "file:number", that stand in these variants' files."""
    marked = {
        file: "".join(
            f"{line} //@{file}:{number}\n" if "{%" not in line and "{#" not in line else f"{line}\n"
            for number, line in enumerate(text.splitlines(), 1)
        )
        for file, text in TEXTS.items()
    }
    jinja = render.environment()
    jinja.loader = DictLoader(marked)
    by_file = matrix.files(matrix.matrix())
    sources = (render.shader(by_file[file], jinja) for file in {v.file for v in variants})
    return {mark for source in sources for mark in re.findall(r"//@(\S+)", source)}


def test_the_representatives_have_every_line_of_the_templates() -> None:
    everything = lines_rendered(matrix.matrix())
    assert {mark.partition(":")[0] for mark in everything} == TEXTS.keys()
    assert lines_rendered(trial.representatives()) == everything


def choices(v: matrix.Variant) -> set[tuple[str, object]]:
    """What a kernel's code asks of its constants, and how it is answered."""
    answers: dict[str, object] = {
        "dtype": v.dtype,
        "mask": v.mask,
        "sinks": v.sinks,
        "rows are held": v.rows_held,
        "ROW_FRAGMENTS": v.tile.rows // FRAGMENT,
        "HEAD_DIM % 32": bool(v.widths.qk % 32),  # V_CHUNK in decode, combine's SIMD_WIDTH
        "slices": v.tile.slices > 1,
        "pair": v.widths.is_pair,
        "latent": v.widths.latent,
    }
    if isinstance(v.tile, PrefillTile):
        answers["HEAD_DIM % PART"] = bool(v.widths.qk % (v.tile.row_threads * 4))
    return set(answers.items())


@pytest.mark.parametrize("family", sorted({v.family for v in matrix.matrix()}))
def test_the_representatives_take_every_branch(family: str) -> None:
    every = (choices(v) for v in matrix.matrix() if v.family == family)
    tried = (choices(v) for v in trial.representatives() if v.family == family)
    assert set().union(*tried) == set().union(*every)


def test_comments_and_declarations_are_left_alone() -> None:
    text = (
        "// a + b\nstruct S {\n    int a; // 1\n};\ninline int f(int a, int b)\n{\n    g(a);\n}\n"
    )
    assert {m.line for m in breed({**TEXTS, "new": text}) if m.file == "new"} == {"    g(a);"}


def test_a_name_becomes_one_that_the_file_has() -> None:
    """The compiler would refuse any other: that says nothing of the cases."""
    text = "f(head);\n"
    assert not [m for m in breed({**TEXTS, "new": text}) if (m.file, m.operator) == ("new", "name")]
    both = {**TEXTS, "new": f"{text}g(kv_head);\n"}
    changes = {m.becomes for m in breed(both) if (m.file, m.operator) == ("new", "name")}
    assert changes == {"f(kv_head);", "g(head);"}


def test_verdicts_are_written_for_other_programs() -> None:
    verdict = Verdict("crash", "variant", "case", "SIGSEGV")
    row = json.loads(as_json({MUTANTS[0]: verdict}))[MUTANTS[0].id]
    assert Verdict(*(row[name] for name in ("how", "variant", "case", "why"))) == verdict
    assert (row["file"], row["change"]) == (MUTANTS[0].file, MUTANTS[0].diff())


def test_the_list_of_survivors_names_mutants_that_exist() -> None:
    assert not orphans(MUTANTS, reasons())


def test_a_changed_line_makes_its_entry_an_orphan() -> None:
    m = MUTANTS[0]
    entry = Reason(flat(m.line), flat(m.becomes), "why")
    assert not orphans(MUTANTS, {m.id: entry})
    assert orphans(MUTANTS, {m.id: Reason("int x;", "int y;", "why")}) == [m.id]
    assert orphans(MUTANTS, {"load-000000": entry}) == ["load-000000"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[tolerated]]\nreason = "x"\nmutants = {}', "must be .*equivalent.* alone"),
        ('[[equivalent]]\nreason = " "\nmutants = {}', "has a reason and mutants"),
        ('[[equivalent]]\nmutants = {a = ["x", "y"]}', "has a reason and mutants"),
        (
            '[[equivalent]]\nreason = "x"\nmutants = {a = ["x", "y"]}\n'
            '[[equivalent]]\nreason = "x"\nmutants = {a = ["x", "y"]}',
            "listed twice",
        ),
    ],
)
def test_a_malformed_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "survivors.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        reasons(path)


def test_the_unbroken_templates_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    first = trial.representatives()[0].name
    others = {name: text for name, text in ORIGINALS.items() if name != first}
    assert trial.attempt(TEXTS, others) == Verdict("survived")
    # The same kernel has just passed all its cases: a few show that this function runs them.
    for name in ("every_case", "edges"):
        every = getattr(trial, name)
        monkeypatch.setattr(trial, name, lambda v, every=every: islice(every(v), 3))
    assert trial.healthy(trial.rows()[0], ORIGINALS[first], "emulator") == Verdict("survived")


NUMBERS = {"wrong numbers"}


@pytest.mark.parametrize(
    ("was", "becomes", "how"),
    [
        ("softmax.sum[r] *= factors[r];", ";", NUMBERS),
        ("if (own >= rows) {", "if (own > rows) {", {"damage", "wrong numbers"}),
        ("while (end - batch > 1) {", "while (end - batch >= 1) {", {"time limit"}),
        ("- sequence.q_len; // of a", "+ sequence.q_len; // of a", NUMBERS),
        (
            "const int kv_head = head / call.heads_per_kv_head;",
            "const int kv_head = head * call.heads_per_kv_head;",
            {"wrong numbers", "crash"},
        ),
        ("const Place place = find_place(lane);", "find_place(lane);", {"compiler"}),
    ],
)
def test_a_lethal_mutant_dies_its_death(
    was: str, becomes: str, how: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "CASE_SECONDS", 2)
    file = next(f for f, text in TEXTS.items() if was in text)
    texts = {**TEXTS, file: TEXTS[file].replace(was, becomes)}
    # One kernel is tried.  The others count as unchanged, because they would take minutes.
    broken = trial.shaders(texts)
    first = next(name for name, source in broken.items() if source != ORIGINALS[name])
    verdict = trial.attempt(texts, {**broken, first: ORIGINALS[first]})
    assert verdict.how in how, verdict


def test_a_mutant_that_only_does_more_work_dies_of_that() -> None:
    """A block that needs no mask is masked all the same: no number is wrong."""
    full = (v for v in trial.rows() if v.family == "prefill" and v.mask == "full")
    variant = min(full, key=lambda v: v.head_dim)
    was, becomes = "return {visited, unmasked};\n}\n", "return {visited, {1, 0}};\n}\n"
    text = TEXTS["parts/band.metal.j2"].replace(was, becomes)
    broken = trial.shaders({**TEXTS, "parts/band.metal.j2": text})[variant.name]
    assert trial.try_numbers(variant, broken) == Verdict("survived")
    assert trial.try_work(variant, broken, ORIGINALS[variant.name]).how == "more work"
    assert trial.try_work(variant, broken, broken) == Verdict("survived")


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), isolated.CrashError),
        (lambda: os._exit(3), isolated.CrashError),
        (lambda: [None for _ in iter(int, 1)], isolated.TimeLimitError),
        (lambda: int("x"), ValueError),
        (lambda: lambda: None, AttributeError),  # an answer that cannot be sent
    ],
)
def test_an_isolated_call_ends_alone(task: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        isolated.call(task, 1)
    assert isolated.call(lambda: "x" * 100_000, 1) == "x" * 100_000


def test_a_known_verdict_is_kept_until_something_changes(tmp_path: Path) -> None:
    verdict = Verdict("crash", "variant", "case", "SIGSEGV")
    store = Store(TEXTS, tmp_path)
    assert store.get(MUTANTS[0]) is None
    store.put(MUTANTS[0], verdict)
    assert Store(TEXTS, tmp_path).get(MUTANTS[0]) == verdict
    assert Store(TEXTS, tmp_path).get(MUTANTS[1]) is None
    assert Store({**TEXTS, "more": ""}, tmp_path).get(MUTANTS[0]) is None


def test_shards_and_samples() -> None:
    class Chosen:
        all, only, sample, seed, shard = False, None, None, 0, None

    def pick(**fields: object) -> list[Mutant]:
        return select(MUTANTS, type("", (Chosen,), fields))  # type: ignore[arg-type]

    parts = [pick(shard=shard(f"{i}/3")) for i in (1, 2, 3)]
    assert sorted(m.id for part in parts for m in part) == sorted(m.id for m in STANDING)
    assert pick(all=True) == list(MUTANTS)
    assert pick(sample=30) == pick(sample=30) != pick(sample=30, seed=1)
    other = next(m for m in MUTANTS if m not in STANDING)
    assert pick(only=other.id) == [other]
    assert pick(only="band-") == [m for m in STANDING if m.file.endswith("/band.metal.j2")]


def score(how: str, *, listed: bool = False) -> Score:
    """The score of a run in which mutant 0 ended so, and another died."""
    first = MUTANTS[0]
    reasons = {first.id: Reason(first.line, first.becomes, "why")} if listed else {}
    return Score({first: Verdict(how), MUTANTS[1]: Verdict("crash")}, reasons)


@pytest.mark.parametrize(
    ("score", "ok"),
    [
        (score("crash"), True),
        (score("survived"), False),
        (score("survived", listed=True), True),
        (score("crash", listed=True), False),
    ],
)
def test_the_verdict_of_a_run(score: Score, ok: bool) -> None:
    console = Console(record=True, width=120, quiet=True)
    assert print_report(score, console) == (0 if ok else 1)


A, B, C = (trial.Killer("prefill", name) for name in "abc")
KILLS = {"m1": frozenset({A, B}), "m2": frozenset({B}), "m3": frozenset({C}), "m4": frozenset()}


def test_cases_are_counted_by_what_they_kill_and_what_they_kill_alone() -> None:
    assert by_case.enough(KILLS) == [B, C]
    assert by_case.enough({}) == []
    out = io.StringIO()
    by_case.report(KILLS, (A, B, C), Console(width=120, file=out))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().split("\n")]
    assert [row[1:] for row in rows if row and row[0] == "prefill"] == [
        ["b", "2", "1", "yes"],
        ["c", "1", "1", "yes"],
        ["a", "1", "0", ""],
    ]
    assert "3 of 4 mutants killed by a case; 2 cases kill as many" in out.getvalue()
    assert json.loads(by_case.as_json(KILLS))["m1"] == [[*A], [*B]]


def test_every_case_is_tried_even_after_one_that_ends_its_process() -> None:
    variant = trial.rows()[0]
    chosen = trial.in_order(cases(variant))[:4]

    class Broken:
        """A kernel that computes nothing, and ends its process in the second case."""

        def launch(self, *_: object, schedule: int, **__: object) -> None:
            if schedule == chosen[1].seed:
                os.abort()

    verdicts = list(trial.try_cases(chosen, variant, Broken(), trial.FAST))  # type: ignore[arg-type]
    assert [v.case for v in verdicts] == [case.name for case in chosen]
    assert [v.how for v in verdicts].index("crash") == 1
    assert all(v.killed for v in verdicts)


@pytest.fixture
def cpu_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes what is meant for a GPU run on the CPU, which computes the same."""

    def on_cpu(case: Case, variant: Variant, launch: Launch, _device: str) -> Outcome:
        return run(case, variant, launch, "cpu")

    monkeypatch.setattr(trial, "run", on_cpu)
    monkeypatch.setattr(devices, "wait", lambda _: None)
    monkeypatch.setattr(emulator.Library, "prebuild_cuda", lambda *_: None)
    monkeypatch.setattr(gpu, "architecture", lambda _: 90)


@pytest.mark.usefixtures("cpu_for_a_gpu")
def test_on_a_gpu_a_mutant_dies_of_wrong_numbers_or_survives() -> None:
    variant = trial.rows()[0]
    source = ORIGINALS[variant.name]
    assert source.count("softmax.sum[r] *= factors[r];") == 1
    wrong = source.replace("softmax.sum[r] *= factors[r];", "")
    assert trial.try_on_gpu(variant, source) == Verdict("survived")
    assert trial.try_on_gpu(variant, wrong).how == "wrong numbers"
    assert trial.try_on_gpu(variant, "#error no\n").how == "compiler"


@pytest.mark.usefixtures("cpu_for_a_gpu")
@pytest.mark.parametrize(
    ("error", "how"),
    [
        (devices.TimeLimitError("the GPU is not done after 20 s"), "time limit"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "crash"),
    ],
)
def test_a_mutant_that_ends_the_use_of_a_gpu_dies_of_it(
    error: Exception, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: float) -> None:
        raise error

    monkeypatch.setattr(devices, "wait", fails)
    monkeypatch.setattr(devices, "is_usable", lambda: False)
    variant = trial.rows()[0]
    assert trial.try_on_gpu(variant, ORIGINALS[variant.name]).how == how


def test_who_survives_on_a_gpu_is_no_failure_and_who_is_listed_may_not_die() -> None:
    alive = replace(score("survived"), numbers_only=True)
    assert alive.ok
    assert summary(alive, 1, 1.0)["failed"] == 0
    listed = replace(score("wrong numbers", listed=True), numbers_only=True)
    assert not listed.ok
    assert summary(listed, 1, 1.0)["failed"] == 1
    whole = summary(score("survived"), 2, 1.0)
    assert whole["failures"] == [{"name": MUTANTS[0].id, "why": "survived"}]
    assert whole["survivors"] == [MUTANTS[0].id]
    assert (whole["ran"], whole["killed"], whole["complete"]) == (2, 1, True)
    assert not summary(score("survived"), 3, 1.0)["complete"]
