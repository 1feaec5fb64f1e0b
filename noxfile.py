"""The project's sessions.  The main one is `nox -s parity`; before a commit, `nox -s local`.

`nox -s NAME -- --help` lists what a session takes after the two dashes.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
SOURCES = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "torch-ext")))}

# "installed": use the torch of the Python that runs nox.  Anything else is what pip installs
# in place of the pinned release, for example a wheel file.
TORCH = os.environ.get("METAL_FLASH_SDPA_TORCH", "")
WITH_TORCH = ["--system-site-packages"] if TORCH == "installed" else []

VERMIN = ["--violations", "--no-tips", "--quiet", "--eval-annotations", "--feature=union-types"]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]


def install(session: nox.Session, *groups: str) -> None:
    """Install dependency groups of pyproject.toml; the group torch may be replaced by TORCH."""
    names = [group for group in groups if group != "torch" or not TORCH]
    requirements = nox.project.dependency_groups(PYPROJECT, *names)
    if "torch" in groups and TORCH not in ("", "installed"):
        requirements = (*requirements, TORCH)
    # Modules are compiled when they are imported: to compile all of torch takes half of the time.
    session.install("--no-compile", *requirements)


def chosen(session: nox.Session, *names: str) -> list[str]:
    """Those of the session's arguments that have these names, each with its value."""
    words = [word for argument in session.posargs for word in argument.split("=", 1)]
    return [word for pair in pairwise(words) if pair[0] in names for word in pair]


def is_for_cuda(session: nox.Session) -> bool:
    """Whether `--device cuda` is asked for."""
    return chosen(session, "--device")[-1:] == ["cuda"]


def install_cuda(session: nox.Session) -> None:
    """What `--device cuda` needs beside a torch with CUDA, where it is asked for."""
    if is_for_cuda(session):
        install(session, "cuda")


def asks_for_help(session: nox.Session) -> bool:
    """Whether the arguments are to be listed; then no step comes before that."""
    return not {"-h", "--help"}.isdisjoint(session.posargs)


def harmless(session: nox.Session) -> list[str]:
    """The arguments without --dry-run, which is for publish: others publish nothing anyway."""
    return [argument for argument in session.posargs if argument != "--dry-run"]


def fetch_peers(session: nox.Session, *options: str) -> None:
    """Download MLX's shaders once, for sessions that compare ours with them."""
    if not asks_for_help(session):
        session.run("python", "-m", "peers.fetch", *options, env=SOURCES)


def run_lint(session: nox.Session) -> None:
    """The steps of lint, which local runs as well: what passes there passes in CI."""
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    session.run("vermin", f"--target={oldest}-", *VERMIN, "torch-ext")
    session.run("yamllint", "--strict", ".")
    session.run("zizmor", "--offline", "--quiet", "--strict-collection", "--pedantic", ".github")
    session.run("python", "-m", "codegen", "--check")
    session.run("python", "-m", "emulator", "lint", "generated")
    session.run("python", "-m", "ci.evidence", "--check")


def run_tests(session: nox.Session) -> None:
    """The steps of tests, which local runs as well."""
    fetch_peers(session, "--optional")
    # The slowest tests stand together: a process that has none left takes from the other.
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def local(session: nox.Session) -> None:
    """Before a commit: format, generate, then all steps of lint and tests (pytest's arguments)."""
    install(session, "lint", "test", "torch")
    if not asks_for_help(session):
        session.run("ruff", "format", ".")
        session.run("ruff", "check", "--fix", ".")
        session.run("python", "-m", "codegen")
        run_lint(session)
    run_tests(session)


@nox.session
def gen(session: nox.Session) -> None:
    """Write the generated files: kernels, manifest, build.toml, tables in pages."""
    install(session, "codegen")
    session.run("python", "-m", "codegen", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, types, workflows, and that the generated files are fresh; change nothing."""
    install(session, "lint", "emulator")
    run_lint(session)


@nox.session(venv_params=WITH_TORCH)
def tests(session: nox.Session) -> None:
    """Run every test, on all cores (pytest's arguments)."""
    install(session, "test", "torch")
    run_tests(session)


@nox.session(venv_params=WITH_TORCH)
def training(session: nox.Session) -> None:
    """Train tiny models with transformers, TRL, PEFT and more (pytest's arguments)."""
    install(session, "training", "torch")
    steps = ("pytest", "-n", "auto", "--dist", "worksteal", "tests/training")
    session.run(*steps, *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def parity(session: nox.Session) -> None:
    """Run every kernel over its cases and compare it with float64."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "verify.parity", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def fuzz(session: nox.Session) -> None:
    """Run random attention calls and compare them with float64 (`-- --cases 2000 --seed 1`)."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "verify.fuzz", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def mutants(session: nox.Session) -> None:
    """Break the templates on purpose and count which breaks the cases notice (`-- --sample 30`)."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "verify.mutants", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def sanitize(session: nox.Session) -> None:
    """Run every kind of kernel on an NVIDIA GPU under compute-sanitizer (`-- --tool racecheck`)."""
    install(session, "test", "torch", "cuda")
    session.run("python", "-m", "verify.sanitize", *session.posargs, env=SOURCES)


@nox.session
def evidence(session: nox.Session) -> None:
    """Write docs/evidence.md from the reports in docs/evidence/."""
    session.run("python", "-m", "ci.evidence", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def foreign(session: nox.Session) -> None:
    """Run PyTorch's and MLX's own kernels on the emulator, and as Apple compiled them."""
    install(session, "test", "torch")
    install_cuda(session)
    on_cpu = not is_for_cuda(session)
    fetch_peers(session, *(["--compiled"] if on_cpu else []))
    if not asks_for_help(session):
        session.run("python", "-m", "verify.front_end", env=SOURCES)
    session.run("python", "-m", "verify.foreign", *session.posargs, env=SOURCES)
    if on_cpu and not asks_for_help(session):
        shared = chosen(session, "--sample", "--only", "--seconds")
        session.run("python", "-m", "verify.apple", *shared, env=SOURCES)


@nox.session
def cuda(session: nox.Session) -> None:
    """Compile a kernel of each kind for NVIDIA GPUs; needs none (`-- --all`: every kernel)."""
    install(session, "cuda", "emulator")
    session.run("python", "-m", "ci.cuda", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def examples(session: nox.Session) -> None:
    """Train a small GPT, and run seven tiny models: this package against eager attention."""
    install(session, "emulator", "transformers", "torch")
    if not asks_for_help(session):
        session.run("python", "examples/train_tiny.py")
    session.run("python", "examples/transformers_tiny.py", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def end_to_end(session: nox.Session) -> None:
    """Time openai_privacy_filter, eager and with this package: tokens per second and memory."""
    install(session, "emulator", "transformers", "torch")
    session.run("python", "benchmarks/timing/end_to_end.py", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def perf(session: nox.Session) -> None:
    """Count and model our kernels beside MLX's and PyTorch's; write build/perf/report.html."""
    install(session, "perf", "torch")
    fetch_peers(session)
    session.run("python", "-m", "benchmarks.perf", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def tune(session: nox.Session) -> None:
    """Time tiles on a Mac and write the fastest into their table (`-- --modelled M4` elsewhere)."""
    install(session, "perf", "torch")
    session.run("python", "-m", "benchmarks.tune", *session.posargs, env=SOURCES)


@nox.session
def build(session: nox.Session) -> None:
    """Write the two builds that need no compiler: build/torch-metal, build/metal-attention."""
    session.run("python", "-m", "ci.build", *harmless(session))


@nox.session(venv_params=WITH_TORCH)
def wheel(session: nox.Session) -> None:
    """Build the wheel in build/wheel and try it in an empty environment."""
    install(session, "wheel", "torch")
    session.run("python", "-m", "ci.wheel", *harmless(session))


@nox.session
def cross(session: nox.Session) -> None:
    """Compile and link the native launcher for macOS with each torch, on any machine."""
    install(session, "clang")
    session.run("python", "-m", "ci.cross", *harmless(session))


@nox.session
def apple_compile(session: nox.Session) -> None:
    """Compile every kernel with Apple's compiler; registers and spills (a Mac; no GPU needed)."""
    session.run("python", "-m", "ci.apple_compile", *session.posargs)


@nox.session
def flake(session: nox.Session) -> None:
    """Evaluate flake.nix without a Mac (needs nix; `-- --allow-missing` does without)."""
    session.run("python", "-m", "ci.flake", *harmless(session))


@nox.session
def publish(session: nox.Session) -> None:
    """Check the builds and upload them to the Hub (`-- --dry-run` only says what would change)."""
    install(session, "publish")
    session.run("python", "-m", "ci.publish", *session.posargs)


if __name__ == "__main__":
    nox.main()
