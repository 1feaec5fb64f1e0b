"""The project's sessions.  `nox -l` lists them; `nox -s parity` is the main job."""

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
    session.install(*requirements)


def install_cuda(session: nox.Session) -> None:
    """What `--device cuda` needs beside a torch with CUDA, where it is asked for."""
    words = " ".join(session.posargs).replace("=", " ").split()
    if ("--device", "cuda") in pairwise(words):
        install(session, "cuda")


def harmless(session: nox.Session) -> list[str]:
    """The arguments without --dry-run, which is for publish: others publish nothing anyway."""
    return [argument for argument in session.posargs if argument != "--dry-run"]


@nox.session
def gen(session: nox.Session) -> None:
    """Write generated/ from the matrix and the templates (`-- --check`, `-- --list`)."""
    install(session, "codegen")
    session.run("python", "-m", "codegen", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, types, the oldest Python of the package, workflows; generated/ is fresh Metal."""
    install(session, "lint", "emulator")
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


@nox.session(venv_params=WITH_TORCH)
def tests(session: nox.Session) -> None:
    """Every test, on all cores (arguments go to pytest)."""
    install(session, "test", "torch")
    session.run("python", "-m", "peers.fetch", "--optional", env=SOURCES)
    session.run("pytest", "-n", "auto", *session.posargs, env=SOURCES)


@nox.session
def cuda(session: nox.Session) -> None:
    """Compile a kernel of each kind for NVIDIA GPUs; needs none (`-- --all`: every kernel)."""
    install(session, "cuda", "emulator")
    session.run("python", "-m", "ci.cuda", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def parity(session: nox.Session) -> None:
    """Run every kernel over its cases against float64 (`-- --help` lists what narrows it)."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "verify.parity", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def examples(session: nox.Session) -> None:
    """Seven tiny models in transformers, this package against eager: a table."""
    install(session, "emulator", "transformers", "torch")
    session.run("python", "examples/transformers_tiny.py", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def end_to_end(session: nox.Session) -> None:
    """openai_privacy_filter, eager and with this kernel: tokens per second and memory."""
    install(session, "emulator", "transformers", "torch")
    session.run("python", "benchmarks/timing/end_to_end.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Assemble build/torch-metal, the build without a toolchain (`-- --output DIRECTORY`)."""
    session.run("python", "-m", "ci.build", *harmless(session))


@nox.session
def flake(session: nox.Session) -> None:
    """Evaluate flake.nix without a Mac (needs nix; `-- --allow-missing` does without)."""
    session.run("python", "-m", "ci.flake", *harmless(session))


@nox.session
def cross(session: nox.Session) -> None:
    """Link the native launcher for macOS with every torch it serves (`-- --torch 2.12.1`)."""
    install(session, "clang")
    session.run("python", "-m", "ci.cross", *harmless(session))


@nox.session(venv_params=WITH_TORCH)
def wheel(session: nox.Session) -> None:
    """Build the pure-Python wheel in build/wheel and try it in an empty environment."""
    install(session, "wheel", "torch")
    session.run("python", "-m", "ci.wheel")


@nox.session
def publish(session: nox.Session) -> None:
    """Check the builds and upload them to the Hub (`-- --dry-run` only says what would change)."""
    install(session, "publish")
    session.run("python", "-m", "ci.publish", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def mutants(session: nox.Session) -> None:
    """Break the templates on purpose: do the tests notice?  (`-- --sample 30`, `--shard 1/4`)."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "verify.mutants", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def fuzz(session: nox.Session) -> None:
    """Random attention calls against float64 (`-- --cases 2000 --seed 1`)."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "verify.fuzz", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def foreign(session: nox.Session) -> None:
    """PyTorch's and MLX's attention shaders, unmodified, on the emulator (`-- --sample 40`)."""
    install(session, "test", "torch")
    install_cuda(session)
    session.run("python", "-m", "peers.fetch", env=SOURCES)
    session.run("python", "-m", "verify.foreign", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def sanitize(session: nox.Session) -> None:
    """NVIDIA's compute-sanitizer over every kind of kernel, on a GPU (`-- --tool racecheck`)."""
    install(session, "test", "torch", "cuda")
    session.run("python", "-m", "verify.sanitize", *session.posargs, env=SOURCES)


@nox.session
def evidence(session: nox.Session) -> None:
    """Write docs/evidence.md from the reports in docs/evidence/ (`-- --check`)."""
    session.run("python", "-m", "ci.evidence", *session.posargs)


@nox.session(venv_params=WITH_TORCH)
def perf(session: nox.Session) -> None:
    """Count and model ours beside MLX and PyTorch: build/perf/report.html (`-- --quick`)."""
    install(session, "perf", "torch")
    session.run("python", "-m", "peers.fetch", env=SOURCES)
    session.run("python", "-m", "benchmarks.perf", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def tune(session: nox.Session) -> None:
    """Time candidate tiles on this Mac and write the table (`-- --modelled "M1 Max"` elsewhere)."""
    install(session, "perf", "torch")
    session.run("python", "-m", "benchmarks.tune", *session.posargs, env=SOURCES)


@nox.session(venv_params=WITH_TORCH)
def local(session: nox.Session) -> None:
    """The inner loop: format, generate, lint, test."""
    install(session, "lint", "test", "torch")
    session.run("ruff", "format", ".")
    session.run("ruff", "check", "--fix", ".")
    session.run("python", "-m", "codegen")
    session.run("mypy")
    session.run("pytest", "-n", "auto", *session.posargs, env=SOURCES)


if __name__ == "__main__":
    nox.main()
