"""The card on the Hub, filled by the engine that kernel-builder uses."""

from __future__ import annotations

import pytest
from minijinja import Environment

from ci.build import flash, masked
from ci.card import context, fill, public_names
from codegen.project import project
from codegen.render import ROOT
from codegen.targets import NOARCH

EVERYTHING = {
    "repo_id": "who/what",
    "version": 7,
    "license": "mit",
    "functions": ["one", "two"],
    "layers": None,
    "has_benchmark": True,
    "upstream": None,
    "source": "over there",
}


def rendered(**changes: object) -> str:
    environment = Environment(templates={"card": (ROOT / "CARD.md").read_text()}, trim_blocks=True)
    card: str = environment.render_template("card", **{**EVERYTHING, **changes})
    return card


def test_it_is_filled_from_the_tree() -> None:
    card = fill()
    assert card.startswith(
        f"---\nlibrary_name: kernels\nlicense: {project(ROOT).license.lower()}\n"
    )
    assert f'get_kernel("kernels-community/{project(ROOT).name}", version=2)' in card
    assert f"| {NOARCH} |" in card
    assert context(ROOT, flash()).keys() == EVERYTHING.keys()


def test_the_second_build_has_a_card_of_its_own() -> None:
    card = fill(product=masked())
    assert f'attn_implementation="{masked().repo}"' in card
    assert "- `flash_attn_forward`\n- `supports_flash_attn`\n" in card
    assert "\n\n\n" not in card
    assert not {"{%", "{{", "None", "undefined"} & set(card.split())


def test_every_part_that_the_builder_may_leave_out_can_be() -> None:
    full = rendered()
    for key, part in {
        "license": "license: mit\n",
        "functions": "- `one`\n- `two`\n",
        "has_benchmark": "`kernels benchmark who/what --version 7`\n",
        "source": "over there\n",
    }.items():
        assert part in full
        assert part not in rendered(**{key: None})


@pytest.mark.parametrize("missing", [{}, {"functions": None, "has_benchmark": False}])
def test_it_is_tidy_markdown(missing: dict[str, object]) -> None:
    card = rendered(**missing)
    assert "\n\n\n" not in card
    assert not {"{%", "{{", "None", "undefined"} & set(card.split())
    _, front, body = card.split("---\n", 2)
    assert "\n\n" not in front
    assert body.startswith("\n# who/what\n")


def test_public_names_are_the_literal_list() -> None:
    assert public_names('from .x import *\n__all__ = ["a", "b"]\n') == ["a", "b"]
    assert public_names("__all__ = x.__all__\n") == []
