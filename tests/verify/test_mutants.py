"""The mutants themselves: the lethal ones die, the unbroken templates do not."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from codegen.render import RenderError
from verify import isolated
from verify.cases import cases
from verify.mutants import by_case, trial
from verify.mutants.__main__ import select, shard
from verify.mutants.breeding import BY_HAND_OPERATOR, Mutant, breed, standing, templates
from verify.mutants.by_hand import BY_HAND
from verify.mutants.operators import OPERATORS
from verify.mutants.report import Score, print_report
from verify.mutants.verdict import Reason, Store, Verdict, flat, orphans, reasons
from verify.run import Launch
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
        "parts/parameters.metal.j2",
    }


def test_ids_are_unique() -> None:
    assert len({m.id for m in MUTANTS}) == len(MUTANTS)


def test_ids_do_not_depend_on_the_lines_around() -> None:
    moved = {file: f"// a new line\n\n{text}// and one more\n" for file, text in TEXTS.items()}
    assert {m.id for m in breed(moved)} == {m.id for m in MUTANTS}


def test_every_mutant_changes_a_representative() -> None:
    """Else it would survive, and the representatives would not show all of the templates."""
    unseen = []
    for m in STANDING:
        try:
            shaders = trial.rendered({**TEXTS, m.file: m.text})
            if all(ORIGINALS[name] == source for name, source in shaders):
                unseen.append(m.id)
        except RenderError:
            pass
    assert not unseen


def test_comments_and_declarations_are_left_alone() -> None:
    text = (
        "// a + b\nstruct S {\n    int a; // 1\n};\ninline int f(int a, int b)\n{\n    g(a);\n}\n"
    )
    assert {m.line for m in breed({**TEXTS, "new": text}) if m.file == "new"} == {"    g(a);"}


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


def test_the_unbroken_templates_survive() -> None:
    first = trial.representatives()[0].name
    others = {name: text for name, text in ORIGINALS.items() if name != first}
    assert trial.attempt(TEXTS, others) == Verdict("survived")


@pytest.mark.parametrize(
    ("was", "becomes", "how"),
    [
        ("row_sum[r] *= factor;", ";", {"wrong numbers"}),
        ("if (row >= rows) {", "if (row > rows) {", {"damage", "wrong numbers"}),
        ("while (end - sequence > 1) {", "while (end - sequence >= 1) {", {"time limit"}),
        ("return {0, tile.k_len, ", "return {0, tile.q_len, ", {"wrong numbers"}),
        (
            "const int kv_head = head / n.group;",
            "const int kv_head = head * n.group;",
            {"wrong numbers", "crash"},
        ),
        ("Place place;", "Place;", {"compiler"}),
        # A block that needs no mask is masked all the same.
        ("return {0, tile.k_len, 0, ", "return {0, tile.k_len, 1, ", {"more work"}),
    ],
)
def test_a_lethal_mutant_dies_its_death(was: str, becomes: str, how: set[str]) -> None:
    file = next(f for f, text in TEXTS.items() if was in text)
    verdict = trial.attempt({**TEXTS, file: TEXTS[file].replace(was, becomes)}, ORIGINALS)
    assert verdict.how in how, verdict


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
    assert pick(only="append-") == [m for m in STANDING if m.file == "append.metal.j2"]


def score(how: str, *, listed: bool = False) -> Score:
    """The score of a run in which mutant 0 ended so, and another died."""
    first = MUTANTS[0]
    reasons = {first.id: Reason(first.line, first.becomes, "why")} if listed else {}
    return Score({first: Verdict(how), MUTANTS[1]: Verdict("crash")}, reasons)


@pytest.mark.parametrize(
    ("run", "ok"),
    [
        (score("crash"), True),
        (score("survived"), False),
        (score("survived", listed=True), True),
        (score("crash", listed=True), False),
    ],
)
def test_the_verdict_of_a_run(run: Score, ok: bool) -> None:
    console = Console(record=True, width=120, quiet=True)
    assert print_report(run, console) == (0 if ok else 1)


A, B, C = (trial.Killer("prefill", name) for name in "abc")
KILLS = {"m1": frozenset({A, B}), "m2": frozenset({B}), "m3": frozenset({C}), "m4": frozenset()}


def test_cases_are_counted_by_what_they_kill_and_what_they_kill_alone(tmp_path: Path) -> None:
    assert by_case.enough(KILLS) == [B, C]
    assert by_case.enough({}) == []
    out = io.StringIO()
    by_case.report(KILLS, (A, B, C), tmp_path / "by_case.json", Console(width=120, file=out))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().split("\n")]
    assert [row[1:] for row in rows if row and row[0] == "prefill"] == [
        ["b", "2", "1", "yes"],
        ["c", "1", "1", "yes"],
        ["a", "1", "0", ""],
    ]
    assert "3 of 4 mutants killed by a case; 2 cases kill as many" in out.getvalue()
    assert json.loads((tmp_path / "by_case.json").read_text())["m1"] == [[*A], [*B]]


def test_every_case_is_tried_even_after_one_that_ends_its_process() -> None:
    variant = Variant(**trial.representatives()[0].manifest_row())  # type: ignore[arg-type]
    chosen = trial.in_order(cases(variant))[:4]

    def launcher(schedule: int) -> Launch:
        return lambda *_: os.abort() if schedule == chosen[1].seed else None

    verdicts = list(trial.try_cases(chosen, variant, launcher))
    assert [v.case for v in verdicts] == [case.name for case in chosen]
    assert [v.how for v in verdicts].index("crash") == 1
    assert all(v.killed for v in verdicts)  # nothing was computed
