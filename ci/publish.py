"""Publishes the builds of this commit: to the Hub's branch v<version>, the card to its main branch.

There are two repositories (see ci/build.py).  All builds of one go up in one commit, which is
atomic: a reader sees the builds as they were or as they are, and a run that was interrupted leaves
nothing but uploaded blobs, which the next one finds.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from ci import build
from ci.build import ROOT, VARIANT, Product, assemble, build_toml, digest, flash, git, masked
from ci.card import fill, public_names

REPO_TYPE = "kernel"
METADATA = "metadata.json"
SIGNATURE = "metadata.json.sigstore"
# What kernel-builder writes into a variant, and nothing else.
ALLOWED = re.compile(
    r"(?!.*(?:^|/)\.)[\w/.-]+\.(?:py|pyi|typed|metal|metallib|so|json)|" + SIGNATURE
)
REQUIRED = ("name", "id", "version", "license", "python-depends", "backend", "digest")
# Where the public API is.
INTERFACE = tuple(
    f"{module}.py"
    for module in ("__init__", "interface", "packed", "attention_interface", "sdpa", "replace")
)
BENCHMARKS = "benchmarks/benchmark*.py"  # what `kernels benchmark` looks for

PATIENCE = (1, 2, 4, 8)  # seconds before each further attempt
PASSING = (408, 429, 500, 502, 503, 504)  # HTTP statuses of failures that may pass
REACH_SECONDS = 10  # to find out whether the Hub answers at all
ANSWER_SECONDS = 120  # for anything else; the client itself would wait for ever

Result = TypeVar("Result")


class PublishError(RuntimeError):
    """What stands in the way of publishing; the message says what to do about it."""


@dataclass(frozen=True)
class Change:
    """One file of a branch that is to be added, replaced or deleted."""

    kind: str  # "add", "replace" or "delete"
    path: str
    data: bytes = b""


# --- the builds ----------------------------------------------------------------------------------


def gather(root: Path, product: Product) -> list[Path]:
    """A product's builds: torch-metal, and ahead-of-time builds that lie in result/ and build/."""
    variants = {VARIANT: torch_metal(root, product)}
    for folder in (root / "result" / product.folder, root / "build" / product.folder):
        for metadata in sorted(folder.glob(f"torch*-*/{METADATA}")):
            variants.setdefault(metadata.parent.name, metadata.parent)
    return [variants[name] for name in sorted(variants)]


def torch_metal(root: Path, product: Product) -> Path:
    """A product's torch-metal, built again unless it is this commit's: so its signature is kept."""
    variant = root / "build" / product.folder / VARIANT
    existing = contents(variant)
    existing.pop(SIGNATURE, None)
    if existing == build.contents(root, product):
        return variant
    return assemble(root / "build", root, product)


def contents(variant: Path) -> dict[str, bytes]:
    """Every file of a build without Python's caches: path inside it -> content."""
    paths = (path for path in variant.rglob("*") if path.is_file())
    relative = {path.relative_to(variant).as_posix(): path for path in paths}
    return {
        name: path.read_bytes()
        for name, path in sorted(relative.items())
        if "__pycache__" not in path.parts
    }


def problems(variant: Path, root: Path, product: Product) -> list[str]:
    """What is wrong with a build, in words."""
    files = contents(variant)
    try:
        metadata: dict[str, Any] = json.loads(files[METADATA])
    except (KeyError, ValueError) as error:
        return [f"{METADATA}: {type(error).__name__}: {error}"]
    if absent := [key for key in REQUIRED if key not in metadata]:
        return [f"{METADATA} lacks {', '.join(absent)}"]
    right = {
        "name": product.name,
        "version": product.version,
        "license": build_toml(root)["general"]["license"],
    }
    wrong = [
        f"{key} is {metadata[key]!r}, and must be {value!r}"
        for key, value in right.items()
        if metadata[key] != value
    ]
    if "dirty" in metadata["id"]:
        wrong.append(f"id is {metadata['id']}: built from changes that are not committed")
    if metadata["id"] not in files.get("_ops.py", b"").decode():
        wrong.append(f"_ops.py does not name the ops {metadata['id']}")
    hashed = digest({k: v for k, v in files.items() if k not in (METADATA, SIGNATURE)})
    if metadata["digest"] != hashed:
        listed = metadata["digest"].get("files", {})
        names = sorted(
            name
            for name in listed.keys() | hashed["files"].keys()
            if listed.get(name) != hashed["files"].get(name)
        )
        wrong.append(f"the digest does not fit: {', '.join(names) or 'another algorithm'}")
    wrong += [
        f"{name} does not belong into a build" for name in files if not ALLOWED.fullmatch(name)
    ]
    if f"-{metadata['backend'].get('type')}" not in variant.name:
        wrong.append(f"backend is {metadata['backend']}, its folder {variant.name}")
    return wrong


def checked(root: Path, product: Product) -> dict[str, bytes]:
    """Everything for the branch of a product's version: path -> content.  Raises PublishError."""
    if changed := git(root, "status", "--porcelain"):
        raise PublishError(f"the tree is not clean; commit or remove first:\n{changed.rstrip()}")
    print(f"builds of {product.name}:")
    files: dict[str, bytes] = {}
    wrong = []
    for variant in gather(root, product):
        of_variant = problems(variant, root, product)
        wrong += [f"{variant}: {problem}" for problem in of_variant]
        print(f"  {variant.name}: {'; '.join(of_variant) or 'good'}")
        for name, data in contents(variant).items():
            files[f"build/{variant.name}/{name}"] = data
    if wrong:
        raise PublishError("not published:\n" + "\n".join(wrong))
    for path in sorted(root.glob(BENCHMARKS)) if product == flash(root) else ():
        files[path.relative_to(root).as_posix()] = path.read_bytes()
    return files


# --- the public API ------------------------------------------------------------------------------


def api(init: bytes, *modules: bytes) -> dict[str, list[str]]:
    """Public functions and their parameters, from the modules that INTERFACE names."""
    names = public_names(init)
    body = [statement for module in modules for statement in ast.parse(module).body]
    functions = {f.name: f.args for f in body if isinstance(f, ast.FunctionDef)}
    return {
        name: [a.arg for a in functions[name].args + functions[name].kwonlyargs]
        if name in functions
        else []
        for name in names
    }


def reduced(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """What was public and no longer is, or has moved."""
    lost = [name for name in before if name not in after]
    for name in before.keys() & after.keys():
        if after[name][: len(before[name])] != before[name] and after[name]:
            parameters = [p for p in before[name] if p not in after[name]]
            lost.append(f"{name}({', '.join(parameters) or 'in another order'})")
    return sorted(lost)


# --- the Hub -------------------------------------------------------------------------------------


def patiently(
    what: str, call: Callable[[], Result], patience: Sequence[float] | None = None
) -> Result:
    """The call's result.  What fails for a reason that may pass is tried again after a pause.

    Raises PublishError, saying what could not be done and why.  The client's errors that say that
    something does not exist are passed on.
    """
    waits = PATIENCE if patience is None else patience
    for wait in (*waits, None):
        try:
            return call()
        except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
            raise
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in (401, 403):
                raise PublishError(
                    f"{what}: the Hub refuses the token ({status}); HF_TOKEN must be one that "
                    "may write to the repository"
                ) from error
            if status not in PASSING:
                raise PublishError(f"{what}: {error}") from error
            why = f"the Hub answers {status}"
        except (httpx2.TransportError, ConnectionError, TimeoutError) as error:
            why = f"{type(error).__name__}: {error}"
        if wait is None:
            break
        print(f"  {what}: {why}; again in {wait} s", file=sys.stderr)
        time.sleep(wait)
    raise PublishError(f"{what}: {why}, {len(waits) + 1} times; publish again later")


@dataclass(frozen=True)
class Branch:
    """A branch of the repository on the Hub."""

    hub: HfApi
    repo: str
    name: str

    def files(self) -> dict[str, str]:
        """Its files: path -> git's or LFS's hash.  Raises RepositoryNotFoundError and the like."""
        tree = self.hub.list_repo_tree(
            self.repo, recursive=True, revision=self.name, repo_type=REPO_TYPE
        )
        files = (entry for entry in tree if isinstance(entry, RepoFile))
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    def read(self, path: str) -> bytes:
        """A file's content; empty if there is none."""
        download = partial(
            self.hub.hf_hub_download, self.repo, path, revision=self.name, repo_type=REPO_TYPE
        )
        try:
            downloaded = patiently(f"reading {path}", download)
        except EntryNotFoundError:
            return b""
        return Path(downloaded).read_bytes()

    def commit(self, changes: Iterable[Change], message: str, pull_request: bool) -> str:
        """Make the changes in one commit, or propose them; where to see it."""
        operations = [
            CommitOperationDelete(change.path)
            if change.kind == "delete"
            else CommitOperationAdd(change.path, change.data)
            for change in changes
        ]
        done = self.hub.create_commit(
            *(self.repo, operations),
            commit_message=message,
            repo_type=REPO_TYPE,
            revision=self.name,
            create_pr=pull_request,
        )
        return str(done.pr_url or done.commit_url)


def same(data: bytes, known: str) -> bool:
    """Whether a file's content has this hash, as git or as LFS takes it."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return known in (blob, hashlib.sha256(data).hexdigest())


def compare(wanted: dict[str, bytes], current: dict[str, str]) -> list[Change]:
    """The changes that make a branch hold `wanted`.  Builds that `wanted` does not have stay."""
    folders = {path.rsplit("/", 1)[0] for path in wanted}
    changes = [
        Change("replace" if path in current else "add", path, data)
        for path, data in wanted.items()
        if path not in current or not same(data, current[path])
    ]
    ours = {build_of(folder) + "/" for folder in folders if "build/" in folder}
    changes += [
        Change("delete", path)
        for path in current
        if path not in wanted and any(path.startswith(folder) for folder in ours)
    ]
    return changes


def build_of(path: str) -> str:
    """The first two folders of a path on the Hub: build/torch-metal."""
    return "/".join(path.split("/")[:2])


def describe(branch: str, changes: list[Change]) -> None:
    """Say what would change: by build, and by file where something published changes."""
    if not changes:
        print(f"{branch}: as it is")
    counts = Counter((change.kind, build_of(change.path)) for change in changes)
    for (kind, folder), count in counts.items():
        print(f"{branch}: {kind} {folder}{f' ({count} files)' if count > 1 else ''}")
    for change in changes:
        if change.kind != "add" and counts[change.kind, build_of(change.path)] > 1:
            print(f"{branch}:   {change.kind} {change.path}")


def published(
    hub: HfApi, builds: Branch, card: Branch, wanted: dict[str, bytes], dry_run: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """What is on the version's branch and on main: path -> hash; nothing if they do not exist.

    If the Hub cannot be reached, a dry run takes both as empty.  Raises PublishError if it cannot
    be reached otherwise, and if `wanted` lacks something of the API that is published.
    """
    try:
        look = partial(hub.repo_info, builds.repo, repo_type=REPO_TYPE, timeout=REACH_SECONDS)
        patiently("looking for the repository", look, () if dry_run else PATIENCE)
    except RepositoryNotFoundError:
        return {}, {}
    except PublishError as error:
        if not dry_run:
            raise
        print(f"compared with an empty repository, because the Hub cannot be reached ({error})")
        return {}, {}
    try:
        on_branch = patiently("listing the builds", builds.files)
    except RevisionNotFoundError:
        on_branch = {}
    folder = f"build/{VARIANT}/"
    if f"{folder}__init__.py" in on_branch:
        before = api(*(builds.read(folder + name) for name in INTERFACE))
        after = api(*(wanted[folder + name] for name in INTERFACE))
        if lost := reduced(before, after):
            raise PublishError(
                f"{builds.name} is published with more than this: {', '.join(lost)}; "
                "a reduced API needs a new version"
            )
    return on_branch, patiently("listing main", card.files)


@dataclass(frozen=True)
class Upload:
    """What a branch is to become, and how it gets there."""

    branch: Branch
    changes: list[Change]


def uploads(root: Path, hub: HfApi, product: Product, dry_run: bool) -> list[Upload]:
    """What publishing a product changes, which is said as well.  Raises PublishError."""
    wanted = checked(root, product)
    builds = Branch(hub, product.repo, f"v{product.version}")
    card = Branch(hub, product.repo, "main")
    on_branch, on_main = published(hub, builds, card, wanted, dry_run)
    page = {"README.md": fill(root, product).encode()}
    found = [Upload(builds, compare(wanted, on_branch)), Upload(card, compare(page, on_main))]
    for upload in found:
        describe(f"{product.repo}@{upload.branch.name}", upload.changes)
    return found


def publish(root: Path, chosen: argparse.Namespace) -> str:
    """Check, compare, upload; the verdict.  Raises PublishError."""
    get_session().timeout = ANSWER_SECONDS
    hub = HfApi()
    plain, second = flash(root), masked(root)
    if chosen.repo_id:
        plain = replace(plain, repo=chosen.repo_id)
        second = replace(second, repo=f"{chosen.repo_id.split('/')[0]}/{second.name}")
    products = [uploads(root, hub, product, chosen.dry_run) for product in (plain, second)]
    every = [change for found in products for upload in found for change in upload.changes]
    # Cards change at any time, and the second product with each version of the first: transformers
    # asks for its version 1 for ever.
    touched = [change.path for change in products[0][0].changes if change.kind != "add"]
    if touched and not chosen.replace:
        raise PublishError(
            f"{len(touched)} published files would change, {touched[0]} first; "
            "--replace allows it, and a new version leaves them alone"
        )
    if chosen.dry_run:
        return f"dry run: nothing was changed; {len(every)} files would be"
    if not every:
        return "everything is published already"
    for found in products:
        send(hub, found, git(root, "rev-parse", "HEAD").strip(), chosen.create_pr)
    return f"published {len(every)} files"


def send(hub: HfApi, found: Sequence[Upload], commit: str, pull_request: bool) -> None:
    """Upload what is to change of a product."""
    if not any(upload.changes for upload in found):
        return
    repo, version = found[0].branch.repo, found[0].branch.name
    patiently(
        "creating the repository",
        lambda: hub.create_repo(repo, repo_type=REPO_TYPE, exist_ok=True),
    )
    patiently(
        "creating the branch",
        lambda: hub.create_branch(repo, branch=version, repo_type=REPO_TYPE, exist_ok=True),
    )
    for branch, changes in ((upload.branch, upload.changes) for upload in found):
        if changes:
            make = partial(branch.commit, changes, f"{version} from {commit}", pull_request)
            done = patiently(f"uploading to {branch.name}", make)
            print(f"{repo}@{branch.name}: {done}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="nox -s publish --", description=__doc__.split("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="print what would change")
    parser.add_argument("--create-pr", action="store_true", help="propose it on the Hub instead")
    parser.add_argument(
        "--replace", action="store_true", help="published files may change or disappear"
    )
    parser.add_argument(
        "--repo-id",
        help="in place of build.toml's: owner/name; the second build goes to the same owner",
    )
    try:
        print(publish(ROOT, parser.parse_args()))
    except PublishError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
