"""The table of targets, against what the `kernels` library picks."""

from __future__ import annotations

import json

import pytest
from kernels.backends import Metal
from kernels.variants import _resolve_variant_for_system, parse_variant
from packaging.version import Version

from codegen import targets
from codegen.project import project
from codegen.render import ROOT, RenderError, with_table

OLDEST = project(ROOT).oldest_torch
RELEASES = [(2, minor) for minor in range(OLDEST[1], targets.AOT_TORCH[-1][1] + 3)]
PUBLISHED = [targets.NOARCH, *map(targets.aot, targets.AOT_TORCH)]


def picked(macos: str, torch: targets.Torch) -> str:
    """The build that `kernels` prefers on a Mac, of all that are published."""
    accepted, _ = _resolve_variant_for_system(
        variants=[parse_variant(name) for name in PUBLISHED],
        selected_backend=Metal(),
        cpu="aarch64",
        os="darwin",
        torch_version=Version("{}.{}".format(*torch)),
        torch_cxx11_abi=None,
        tvm_ffi_version=None,
        macos_version=Version(macos),
    )
    name: str = accepted[0].variant_str
    return name


@pytest.mark.parametrize("torch", RELEASES, ids=lambda torch: "torch {}.{}".format(*torch))
@pytest.mark.parametrize("macos", ["14.0", "14.7", "15.6", "26.0", "26.2", "27.1"])
def test_kernels_picks_the_build_that_the_table_says(macos: str, torch: targets.Torch) -> None:
    assert picked(macos, torch) == targets.build_for(int(macos.split(".")[0]), torch)


def test_the_table_is_that_of_the_pinned_builder() -> None:
    lock = json.loads((ROOT / "flake.lock").read_text())
    assert lock["nodes"]["kernel-builder"]["locked"]["rev"] == targets.BUILDER_REV


def test_the_table_names_every_build() -> None:
    lines = targets.table(OLDEST).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert all(f" {build} " in lines[-1] for build in PUBLISHED)


def test_a_page_without_its_markers_is_refused() -> None:
    page = "<!-- some table: x -->\nold\n<!-- end -->\n"
    assert "new\n" in with_table("PAGE.md", page, "some table", "new\n")
    with pytest.raises(RenderError, match=r"PAGE\.md: the markers around the other table"):
        with_table("PAGE.md", page, "other table", "new\n")
