"""The torch-metal build: what is in it, that it can be repeated, and that `kernels` loads it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import kernels
import pytest
import torch
from kernels._rust import Digest, DigestAlgorithm, Metadata

from ci.build import (
    ROOT,
    VARIANT,
    BuildError,
    assemble,
    git,
    hub_name,
    masked,
    package,
    unique_id,
)
from codegen.matrix import files, matrix
from codegen.project import project
from codegen.widths import plain
from verify import cases as table
from verify.case import Case
from verify.inputs import prepare
from verify.run import judge
from verify.variants import manifest


def contents(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def clone(directory: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(directory)], check=True)
    return directory


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as `kernels` asks: it then looks for builds for Metal."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.fixture
def loaded(variant: Path, on_a_mac: None) -> ModuleType:
    """The build, loaded as users load a local one."""
    module: ModuleType = kernels.get_local_kernel(variant)
    return module


def test_it_holds_the_package_and_every_shader(variant: Path) -> None:
    files = contents(variant)
    shaders = {path: data for path, data in files.items() if path.startswith("shaders/")}
    assert shaders == {
        f"shaders/{v.file}": (ROOT / "generated" / v.file).read_bytes() for v in matrix()
    }
    source = ROOT / "torch-ext/metal_flash_sdpa"
    for path in files.keys() - shaders.keys() - {"_ops.py", "metadata.json"}:
        assert files[path] == (source / path).read_bytes(), path
    assert {"__init__.py", "plan.py", "launchers/jit.py"} < files.keys()


def test_the_metadata_is_what_kernels_reads(variant: Path) -> None:
    metadata = Metadata.read_from_file(variant / "metadata.json")
    assert metadata.id == f"_metal_flash_sdpa_metal_{unique_id(ROOT)}"
    assert (str(metadata.name), metadata.version) == (project(ROOT).name, project(ROOT).release)
    assert metadata.license == project(ROOT).license
    assert str(metadata.backend.backend_type) == "metal"
    assert metadata.python_depends == []


def test_the_second_build_differs_in_what_it_offers_alone(
    variant: Path, masked_variant: Path
) -> None:
    first, other = contents(variant), contents(masked_variant)
    assert first.keys() == other.keys()
    assert {path for path in first if first[path] != other[path]} == {
        "__init__.py",
        "_ops.py",
        "metadata.json",
    }
    metadata = Metadata.read_from_file(masked_variant / "metadata.json")
    assert metadata.id == f"_metal_attention_metal_{unique_id(ROOT)}"
    assert (str(metadata.name), metadata.version) == (masked().name, 1)
    assert "flash" not in masked().repo.split("/")[1]
    module = kernels.get_local_kernel(masked_variant)
    assert hasattr(module, "flash_attn_forward")
    assert hasattr(module, "supports_flash_attn")
    assert not hasattr(module, "flash_attn_varlen_func")


def test_the_digest_is_the_one_that_kernels_computes(variant: Path) -> None:
    actual = Digest.hash_variant(DigestAlgorithm.SHA256, variant)
    declared = Metadata.read_from_file(variant / "metadata.json").digest
    declared.validate(actual)
    assert list(json.loads((variant / "metadata.json").read_text())["digest"]["files"]) == sorted(
        contents(variant).keys() - {"metadata.json"}
    )


def test_two_checkouts_of_one_commit_give_the_same_bytes(tmp_path: Path) -> None:
    one = assemble(tmp_path / "out", clone(tmp_path / "here"))
    other = assemble(tmp_path / "elsewhere/out", clone(tmp_path / "quite/somewhere/else"))
    assert contents(one) == contents(other)
    assert len(contents(one)) > len(files(matrix()))


def test_another_build_replaces_the_last_one_whole(tmp_path: Path) -> None:
    (tmp_path / VARIANT).mkdir()
    (tmp_path / VARIANT / "left_over.py").touch()
    assert "left_over.py" not in contents(assemble(tmp_path))


def test_only_tracked_files_get_in_and_a_change_shows_in_the_id(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "checkout")
    clean = unique_id(checkout)
    assert clean == git(ROOT, "rev-parse", "HEAD^{tree}")[:7]
    source = checkout / "torch-ext/metal_flash_sdpa"
    (source / "scratch.py").touch()
    assert "scratch.py" not in package(checkout)
    assert unique_id(checkout) == clean
    (source / "plan.py").write_text("")
    assert unique_id(checkout) == f"{clean}_dirty"
    assert f"{clean}_dirty" in (assemble(tmp_path, checkout) / "_ops.py").read_text()


def test_a_tree_without_git_or_without_a_shader_is_refused(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "checkout")
    absent = f"generated/{matrix()[0].file}"
    (checkout / absent).unlink()
    with pytest.raises(BuildError, match=f"not on disk: {absent}"):
        assemble(tmp_path, checkout)
    (checkout / ".git").rename(tmp_path / "elsewhere.git")
    with pytest.raises(BuildError, match="not a git repository"):
        assemble(tmp_path, checkout)


def imports(path: Path) -> Iterator[str]:
    """The top-level modules that a file imports when it is loaded; relative ones are ''."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else str(node.module).split(".")[0]


def test_it_imports_torch_and_the_standard_library_only(variant: Path) -> None:
    # The emulator's launcher is for development: users never load it.
    allowed = {"", "torch", *sys.stdlib_module_names}
    for path in set(variant.rglob("*.py")) - {variant / "launchers/emulator.py"}:
        assert set(imports(path)) <= allowed, path


def test_kernels_loads_it_in_place_of_the_hub(
    variant: Path, on_a_mac: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_KERNELS", f"{hub_name()}={variant.parent}")
    module = kernels.get_kernel(hub_name(), version=project(ROOT).release)
    assert Path(str(module.__file__)).parent == variant


def test_its_ops_have_a_namespace_of_their_own(loaded: ModuleType, variant: Path) -> None:
    ops = import_module(f"{loaded.__name__}._ops")
    namespace = json.loads((variant / "metadata.json").read_text())["id"]
    assert ops.add_op_namespace_prefix("forward") == f"{namespace}::forward"
    assert ops.ops is getattr(torch.ops, namespace)


@pytest.mark.parametrize(("case", "mode"), table.seed_rows(), ids=lambda x: getattr(x, "name", x))
def test_the_seed_rows_pass_through_the_loaded_build(
    loaded: ModuleType, case: Case, mode: str
) -> None:
    _, head_dim, dtype = table.SEED_VARIANT
    inputs = prepare(case, plain(head_dim), getattr(torch, dtype), "cpu")
    tensors = inputs.tensors
    out, lse, *_ = loaded.flash_attn_varlen_func(
        *(tensors[name] for name in ("q", "k", "v", "cu_seqlens_q", "k_begin")),
        max(case.shape.q_lens),
        max(case.shape.k_lens),
        window_size=case.mask.window_size,
        s_aux=tensors.get("sinks"),
        return_attn_probs=True,
    )
    tensors["out"].copy_(out)
    tensors["lse"].copy_(lse)
    error, lse_error = judge(case, inputs, getattr(torch, dtype))
    assert error.ok
    assert lse_error.ok
    assert error.max_abs <= table.SEED_MAX_ABS
    assert error.cosine >= table.SEED_COSINE


def test_its_shaders_are_its_own(loaded: ModuleType, variant: Path) -> None:
    catalogue = import_module(f"{loaded.__name__}.catalogue").BUILT_IN
    assert all(catalogue.path(row.file).is_relative_to(variant) for row in manifest())
