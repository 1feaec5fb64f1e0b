"""Evaluates flake.nix without a Mac, with a stand-in for kernel-builder.

The tracked files are copied to a repository of their own, the flake's one input is pointed at
ci/stub, and nix evaluates the outputs, offline.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ci.build import ROOT, git, tracked
from codegen.targets import AOT_TORCH, BUILDER_REV, aot

NIX = ("nix", "--extra-experimental-features", "nix-command flakes", "--offline")
INPUT = "kernel-builder"
MAC = "aarch64-darwin"
SYSTEMS = (MAC, "aarch64-linux", "x86_64-linux")
OUTPUTS = {  # the builder's, and kernels-cli
    "packages": [
        "archVariants",
        "backendBundle",
        "backendCi",
        "build-and-copy",
        "build-and-upload",
        "bundle",
        "ci",
        "ci-test",
        "ciTests",
        "default",
        "kernels",
        "kernels-cli",
        "pkgs",
        "redistributable",
        "variants",
    ],
    "devShells": ["default", "devShells", "test", "testShells"],
}
LEFT_OUT = (
    "Not evaluated here: kernel-builder itself and its nixpkgs, which only `nix build .#kernels` "
    "fetches; nothing was built."
)


class FlakeError(RuntimeError):
    """Nix refused something; the message has its words."""


def nix(*arguments: str | Path, cwd: Path) -> str:
    """What nix prints.  Raises FlakeError with its own words."""
    done = subprocess.run((*NIX, *arguments), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (line for line in done.stderr.splitlines() if not line.startswith("warning:"))
        raise FlakeError("\n".join(words))
    return done.stdout


def copy(root: Path, target: Path) -> None:
    """The files that git tracks, committed to a repository of their own."""
    for path in tracked(root, "."):
        if (root / path).is_file():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path, target / path)
    git(target, "init", "--quiet")
    commit(target)


def commit(repository: Path) -> None:
    git(repository, "-c", "core.looseCompression=0", "add", "--all")  # a copy to throw away
    author = ("-c", "user.name=ci", "-c", "user.email=ci@localhost")
    git(repository, *author, "commit", "--quiet", "--allow-empty", "--message", "flake")


def use_stub(repository: Path, stub: Path) -> None:
    """Point the flake's input at our stand-in."""
    shutil.copytree(ROOT / "ci/stub", stub)
    releases = [f"{major}.{minor}" for major, minor in AOT_TORCH]
    (stub / "torch.json").write_text(json.dumps(releases))
    flake = repository / "flake.nix"
    original = json.loads((repository / "flake.lock").read_text())["nodes"][INPUT]["original"]
    address = "{type}:{owner}/{repo}".format(**original)
    flake.write_text(flake.read_text().replace(f'"{address}"', f'"path:{stub}"'))
    (repository / "flake.lock").unlink()
    nix("flake", "lock", cwd=repository)
    commit(repository)


def evaluate(repository: Path, attribute: str, function: str) -> Any:
    """What a Nix function of one of the flake's attributes gives."""
    return json.loads(nix("eval", "--json", f".#{attribute}", "--apply", function, cwd=repository))


def lock_problems(repository: Path) -> Iterator[str]:
    """Lock and flake must agree, pin one input, and pin it where the table of targets says."""
    metadata = json.loads(
        nix("flake", "metadata", "--no-update-lock-file", "--json", cwd=repository)
    )
    nodes = metadata["locks"]["nodes"]
    inputs = nodes["root"].get("inputs", {})
    if list(inputs) != [INPUT]:
        yield f"flake.lock: the inputs are {sorted(inputs)}, should be {[INPUT]}"
    rev = nodes.get(INPUT, {}).get("locked", {}).get("rev")
    if rev != BUILDER_REV:
        yield f"flake.lock pins {INPUT} {rev}, codegen/targets.py has the targets of {BUILDER_REV}"


def output_problems(repository: Path) -> Iterator[str]:
    """Every output of the builder must exist, for every system, and nothing else."""
    for output, names in OUTPUTS.items():
        by_system = evaluate(repository, output, "builtins.mapAttrs (_: builtins.attrNames)")
        if sorted(by_system) != sorted(SYSTEMS):
            yield f"{output}: the systems are {sorted(by_system)}, should be {sorted(SYSTEMS)}"
        for system, attributes in by_system.items():
            for name in sorted({*names} - {*attributes}):
                yield f"{output}.{system}.{name} is missing"
            for name in sorted({*attributes} - {*names}):
                yield f"{output}.{system}.{name} is not one of the builder's"


def bundle_problems(repository: Path) -> Iterator[str]:
    """`.#kernels` must be the bundle of all Metal builds, `.#kernels-cli` the builder's tool."""
    paths = "builtins.mapAttrs (_: d: d.drvPath) { inherit (p) kernels bundle default; }"
    asked = f"p: {{ paths = {paths}; tool = p.kernels-cli.name; }}"
    for system in SYSTEMS:
        found = evaluate(repository, f"packages.{system}", asked)
        derivations, name = found["paths"], found["tool"]
        if len(set(derivations.values())) != 1:
            yield f"packages.{system}: kernels, bundle and default differ: {derivations}"
        if name != "python3-env":
            yield f"packages.{system}.kernels-cli is {name}, not the builder's python3-env"
    variants = evaluate(repository, f"packages.{MAC}.archVariants", "v: v")
    if variants != [aot(torch) for torch in AOT_TORCH]:
        yield f"the bundle has the builds {variants}"


def shell_problems(repository: Path) -> Iterator[str]:
    """A Mac developer's shell must evaluate, with what we add to it."""
    default = evaluate(repository, f"devShells.{MAC}.default", "d: d.inputs")
    if not default:
        yield f"devShells.{MAC}.default has nothing of ours"


def source_problems(repository: Path) -> Iterator[str]:
    """The build must see what build.toml lists and all of torch-ext/."""
    tree = Path(nix("eval", "--raw", f".#packages.{MAC}.kernels.src", cwd=repository))
    seen = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    toml = tomllib.loads((repository / "build.toml").read_text())
    kernels = (path for kernel in toml["kernel"].values() for path in kernel["src"])
    package = (f"torch-ext/{path}" for path in tracked(repository, "torch-ext"))
    unseen = {"build.toml", *toml["torch"]["src"], *kernels, *package} - seen
    if unseen:
        yield f"filtered out of the build (add to pyext, or to src): {', '.join(sorted(unseen))}"


def problems(root: Path = ROOT) -> list[str]:
    """All that is wrong with the flake of the checkout at `root`."""
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch, "tree")
        repository.mkdir()
        copy(root, repository)
        if wrong := findings(repository, lock_problems):
            return wrong
        use_stub(repository, Path(scratch, "stub"))
        return findings(
            repository, output_problems, bundle_problems, shell_problems, source_problems
        )


def findings(repository: Path, *checks: Callable[[Path], Iterator[str]]) -> list[str]:
    """What the checks find; where nix refuses to evaluate, its words."""
    wrong: list[str] = []
    for check in checks:
        try:
            wrong.extend(check(repository))
        except FlakeError as error:
            wrong.append(str(error))
    return list(dict.fromkeys(wrong))


def main() -> int:
    parser = argparse.ArgumentParser(prog="nox -s flake --", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--allow-missing", action="store_true", help="where there is no nix, say so and succeed"
    )
    options = parser.parse_args()
    if not shutil.which("nix"):
        print("flake.nix was NOT evaluated: there is no nix (on Debian: apt-get install nix-bin)")
        return 0 if options.allow_missing else 1
    wrong = problems()
    for problem in wrong:
        print(problem)
    if not wrong:
        print("flake.nix and flake.lock: outputs, bundle, shells and sources as they should be")
        print(LEFT_OUT)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
