"""Publishing to a Hub on loopback, with the real clients, and what may go wrong on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session, constants

from ci import publish as session
from ci.build import ROOT, VARIANT, assemble, digest, flash, git, hub_name, masked
from ci.publish import INTERFACE, METADATA, SIGNATURE, api, contents, problems, reduced
from tests.ci.hub import TOKEN, Hub, running

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's

REPO, BRANCH = hub_name(), "v2"
AOT = "torch213-metal-aarch64-darwin"


Publish = Callable[..., SimpleNamespace]


@pytest.fixture
def hub() -> Iterator[SimpleNamespace]:
    with running() as (state, url):
        yield SimpleNamespace(state=state, url=url)


@pytest.fixture(scope="module")
def as_on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout with one commit more, of what is not committed yet."""
    clone = tmp_path_factory.mktemp("as on disk")
    git(clone, "clone", "--quiet", str(ROOT), ".")
    for path in git(ROOT, "ls-files", "-z").split("\0")[:-1]:
        if (ROOT / path).is_file():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, clone / path)
    commit(clone)
    return clone


@pytest.fixture
def checkout(as_on_disk: Path, tmp_path: Path) -> Path:
    """A clean clone of this checkout, as it is on disk."""
    git(tmp_path, "clone", "--quiet", str(as_on_disk), "clone")
    return tmp_path / "clone"


def commit(clone: Path) -> None:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")
    git(clone, *who, "commit", "--quiet", "--allow-empty", "-am", "as on disk")


def environment(url: str, home: Path, code: Path) -> dict[str, str]:
    """For a program of its own that talks to a Hub."""
    named = {"HF_ENDPOINT": url, "HF_TOKEN": TOKEN, "HF_HOME": str(home), "PYTHONPATH": str(code)}
    # The Hub of the tests has LFS, and not what came after it.
    named |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    return {name: value for name, value in os.environ.items() if name != "LOCAL_KERNELS"} | named


def program(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Publish]:
    """Runs ci/publish.py against a Hub: in this process, as the client's import takes longest."""

    def run(
        checkout: Path,
        url: str,
        *arguments: str,
        token: str = TOKEN,
        patience: Sequence[float] = (0.01, 0.01),
    ) -> SimpleNamespace:
        monkeypatch.setattr(session, "ROOT", checkout)
        monkeypatch.setattr(session, "PATIENCE", patience)
        monkeypatch.setattr(session, "ANSWER_SECONDS", 2)
        monkeypatch.setattr("sys.argv", ["publish", *arguments])
        monkeypatch.setenv("HF_TOKEN", token)
        template = url + constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        # What the client has read of its environment: see `environment`.
        for name, value in {
            "ENDPOINT": url,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
            "HF_TOKEN_PATH": str(tmp_path / "hf" / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        close_session()
        code = session.main()
        printed = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err)

    yield run
    close_session()  # it has timeouts of the tests


def second(state: Hub, branch: str = "v1") -> dict[str, bytes]:
    """What is in the repository of the build that takes masks."""
    return state.repositories[masked().repo][branch]


def add_aot(checkout: Path) -> Path:
    """A build ahead of time, as nix leaves it in result/: torch-metal's files and a library."""
    source = assemble(checkout / "scratch", checkout)
    variant = checkout / "result" / AOT
    shutil.copytree(source, variant)
    shutil.rmtree(checkout / "scratch")
    (variant / "_metal_flash_sdpa.abi3.so").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(2000))
    metadata = json.loads((variant / METADATA).read_text())
    files = contents(variant)
    del files[METADATA]
    metadata["digest"] = digest(files)
    (variant / METADATA).write_text(json.dumps(metadata))
    return variant


def published(state: Hub, branch: str = BRANCH) -> dict[str, bytes]:
    return state.repositories[REPO][branch]


def test_it_publishes_and_get_kernel_loads_it(hub: SimpleNamespace, checkout: Path) -> None:
    variant = add_aot(checkout)
    publisher = environment(hub.url, checkout.parent / "publisher", checkout)
    done = program("-m", "ci.publish", cwd=checkout, env=publisher)
    assert done.returncode == 0, done.stderr
    assert f"{VARIANT}: good" in done.stdout
    files = published(hub.state)
    assert {path.split("/")[1] for path in files if path.startswith("build/")} == {VARIANT, AOT}
    for path, data in contents(variant).items():
        assert files[f"build/{AOT}/{path}"] == data, path
    assert files["benchmarks/benchmark.py"] == (ROOT / "benchmarks/benchmark.py").read_bytes()
    card = published(hub.state, "main")["README.md"].decode()
    assert "get_kernel" in card
    assert f"kernels benchmark {REPO} --version 2" in card
    code = f"""
import torch
torch.backends.mps.is_available = lambda: True
import kernels
kernel = kernels.get_kernel({REPO!r}, version=2, trust_remote_code=True)
q = torch.randn(1, 5, 2, 32)
out = kernel.flash_attn_func(q, q, q)
want = torch.nn.functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, q, q)))
torch.testing.assert_close(out, want.transpose(1, 2))
print(kernel.__file__)
"""
    home = checkout.parent / "reader"
    reader = program("-c", code, cwd=checkout.parent, env=environment(hub.url, home, ROOT))
    assert reader.returncode == 0, reader.stderr
    assert str(home) in reader.stdout

    assert b"flash_attn_forward" in second(hub.state)[f"build/{VARIANT}/__init__.py"]
    assert not any(path.startswith("benchmarks/") for path in second(hub.state))
    assert masked().repo in second(hub.state, "main")["README.md"].decode()

    again = program("-m", "ci.publish", cwd=checkout, env=publisher)
    assert again.returncode == 0
    assert "everything is published already" in again.stdout


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    done = publish(checkout, hub.url, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"{REPO}@{BRANCH}: add build/{VARIANT} (" in done.stdout
    assert f"{REPO}@main: add README.md" in done.stdout
    assert "dry run: nothing was changed" in done.stdout
    assert not hub.state.repositories
    assert not [line for line in hub.state.log if not line.startswith("GET")]


def test_a_dry_run_needs_no_hub(publish: Publish, checkout: Path) -> None:
    done = publish(checkout, "http://127.0.0.1:9", "--dry-run", token="")
    assert done.returncode == 0, done.stderr
    assert "compared with an empty repository, because the Hub cannot be reached" in done.stdout
    assert "dry run: nothing was changed" in done.stdout


def test_a_pull_request_changes_no_branch(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    assert publish(checkout, hub.url, "--create-pr").returncode == 0
    assert [proposal["branch"] for proposal in hub.state.proposals] == [
        BRANCH,
        "main",
        "v1",
        "main",
    ]
    assert not [path for path in published(hub.state) if path.startswith("build/")]


def change(checkout: Path, path: str, before: str, after: str) -> None:
    file = checkout / path
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    commit(checkout)


def test_what_is_published_changes_only_with_replace(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    assert publish(checkout, hub.url).returncode == 0
    before = dict(published(hub.state))
    change(
        checkout,
        "torch-ext/metal_flash_sdpa/splits.py",
        "STEPS_PER_SPLIT = 2",
        "STEPS_PER_SPLIT = 3",
    )
    refused = publish(checkout, hub.url)
    assert refused.returncode == 1
    assert "published files would change" in refused.stderr
    assert "--replace allows it" in refused.stderr
    assert published(hub.state) == before
    hub.state.faults = [("GET /api/kernels", 503)]  # which must not pass for an empty repository
    refused = publish(checkout, hub.url)
    assert not hub.state.faults
    assert refused.returncode == 1
    assert published(hub.state) == before
    done = publish(checkout, hub.url, "--replace")
    assert done.returncode == 0, done.stderr
    assert b"STEPS_PER_SPLIT = 3" in published(hub.state)[f"build/{VARIANT}/splits.py"]


def test_a_signature_goes_with_its_build(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    assert publish(checkout, hub.url, "--dry-run").returncode == 0
    (checkout / "build" / VARIANT / SIGNATURE).write_text("{}")
    assert publish(checkout, hub.url).returncode == 0
    assert published(hub.state)[f"build/{VARIANT}/{SIGNATURE}"] == b"{}"


def test_builds_that_are_not_there_this_time_stay(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    add_aot(checkout)
    assert publish(checkout, hub.url).returncode == 0
    before = dict(published(hub.state))
    shutil.rmtree(checkout / "result")
    assert publish(checkout, hub.url).returncode == 0
    assert published(hub.state) == before


def test_a_second_version_leaves_the_first_alone(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    assert publish(checkout, hub.url).returncode == 0
    before = dict(published(hub.state))
    change(checkout, "build.toml", "version = 2", "version = 3")
    assert publish(checkout, hub.url).returncode == 0
    assert published(hub.state) == before
    metadata = json.loads(published(hub.state, "v3")[f"build/{VARIANT}/{METADATA}"])
    assert metadata["version"] == 3
    # The second product has one version, which goes with the last of the first.
    of_second = json.loads(second(hub.state)[f"build/{VARIANT}/{METADATA}"])
    assert of_second["version"] == 1
    assert of_second["id"].rpartition("_")[2] == metadata["id"].rpartition("_")[2]


def test_a_reduced_api_is_refused(publish: Publish, hub: SimpleNamespace, checkout: Path) -> None:
    assert publish(checkout, hub.url).returncode == 0
    interface = "torch-ext/metal_flash_sdpa/interface.py"
    change(checkout, interface, "    deterministic: bool = False,\n", "")
    refused = publish(checkout, hub.url, "--replace")
    assert refused.returncode == 1
    assert "flash_attn_func(deterministic)" in refused.stderr
    assert "needs a new version" in refused.stderr


STEPS = ("/api/repos/create", "/branch/", "/preupload/", "/objects/batch", "/blob/", "/commit/")


@pytest.mark.parametrize(
    "faults",
    [
        tuple(zip(STEPS, (503, 500, 429, 502, 504, 408))),
        tuple((step, "hang up") for step in STEPS),
        (("/commit/", "stall"),),
    ],
    ids=["statuses", "hang up", "stall"],
)
def test_what_passes_is_outlasted(
    publish: Publish,
    hub: SimpleNamespace,
    checkout: Path,
    faults: tuple[tuple[str, int | str], ...],
) -> None:
    """Each step fails once; after each of its own, an upload begins anew."""
    add_aot(checkout)
    hub.state.faults = [*faults]
    done = publish(checkout, hub.url, patience=[0.01] * len(faults))
    assert done.returncode == 0, done.stderr
    assert not hub.state.faults
    assert f"build/{AOT}/_metal_flash_sdpa.abi3.so" in published(hub.state)


def test_interrupted_half_way_a_second_run_completes_it(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    variant = add_aot(checkout)
    hub.state.faults = [("/commit/", 500)] * 40
    stopped = publish(checkout, hub.url)
    assert stopped.returncode == 1
    assert "uploading to v2: the Hub answers 500" in stopped.stderr
    assert "publish again later" in stopped.stderr
    assert not [path for path in published(hub.state) if path.startswith("build/")]
    assert hub.state.blobs
    hub.state.faults.clear()
    hub.state.log.clear()
    done = publish(checkout, hub.url)
    assert done.returncode == 0, done.stderr
    assert not [line for line in hub.state.log if "/blob/" in line]  # it is there already
    assert contents(variant).keys() == {
        path.removeprefix(f"build/{AOT}/") for path in published(hub.state) if AOT in path
    }


def test_a_wrong_token_is_named(publish: Publish, hub: SimpleNamespace, checkout: Path) -> None:
    done = publish(checkout, hub.url, token="hf_wrong")
    assert done.returncode == 1
    assert "refuses the token (401)" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_hub_at_all_is_named(publish: Publish, checkout: Path) -> None:
    done = publish(checkout, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "looking for the repository: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tree_that_is_not_clean_is_refused(
    publish: Publish, hub: SimpleNamespace, checkout: Path
) -> None:
    (checkout / "torch-ext/metal_flash_sdpa/new.py").write_text("x = 1\n")
    done = publish(checkout, hub.url)
    assert done.returncode == 1
    assert "the tree is not clean" in done.stderr
    assert "new.py" in done.stderr


def rewrite(variant: Path, **changes: object) -> None:
    metadata = json.loads((variant / METADATA).read_text())
    (variant / METADATA).write_text(json.dumps({**metadata, **changes}))


SPOILT = {
    "a file that the digest does not know": "the digest does not fit: extra.py",
    "a file changed": "the digest does not fit: plan.py",
    "a file that does not belong": "core.dump does not belong into a build",
    "no metadata": f"{METADATA}: KeyError",
    "another version": "version is 1, and must be 2",
    "another id": "_ops.py does not name the ops other",
    "built from changes": "built from changes that are not committed",
    "a key less": f"{METADATA} lacks license",
    "another backend": "backend is {'type': 'cuda'}, its folder " + AOT,
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_build_is_refused(
    publish: Publish, hub: SimpleNamespace, checkout: Path, how: str
) -> None:
    variant = add_aot(checkout)
    assert problems(variant, checkout, flash(checkout)) == []
    if how == "a file that the digest does not know":
        (variant / "extra.py").write_text("")
    elif how == "a file changed":
        (variant / "plan.py").write_text("")
    elif how == "a file that does not belong":
        (variant / "core.dump").write_text("")
    elif how == "no metadata":
        (variant / METADATA).unlink()
    elif how == "another version":
        rewrite(variant, version=1)
    elif how == "another id":
        rewrite(variant, id="other")
    elif how == "built from changes":
        rewrite(variant, id="_metal_flash_sdpa_metal_1234567_dirty")
    elif how == "a key less":
        metadata = json.loads((variant / METADATA).read_text())
        del metadata["license"]
        (variant / METADATA).write_text(json.dumps(metadata))
    else:
        rewrite(variant, backend={"type": "cuda"})
    assert any(SPOILT[how] in problem for problem in problems(variant, checkout, flash(checkout)))
    if how != "no metadata":  # such a folder is no build
        done = publish(checkout, hub.url)
        assert done.returncode == 1
        assert SPOILT[how] in done.stderr
        assert not hub.state.repositories


def test_an_api_is_reduced_by_less_and_by_another_order() -> None:
    init = b'__all__ = ["f"]\n'
    before = api(init, b"def f(a, b=1): ...\n")
    assert reduced(before, api(init, b"def f(a, b=1, c=2): ...\n")) == []
    assert reduced(before, api(init, b"def f(a): ...\n")) == ["f(b)"]
    assert reduced(before, api(init, b"def f(b, a=1): ...\n")) == ["f(in another order)"]
    assert reduced(before, api(b"__all__ = []\n", b"")) == ["f"]
    package = ROOT / "torch-ext/metal_flash_sdpa"
    init, *modules = ((package / name).read_bytes() for name in INTERFACE)
    found = api(init, *modules)
    assert [name for name, parameters in found.items() if not parameters] == [
        "install_as_flash_attn"
    ]
    of_second = api(masked().init.encode(), *modules)
    assert all(of_second.values())
