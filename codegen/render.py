"""Templates to files: renders every file, writes only what differs, removes orphans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from codegen import arguments, targets
from codegen.matrix import MASKS, Variant, files
from codegen.project import project
from codegen.widths import Widths

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "templates"
BANNER = "Written by `python -m codegen` from templates/; do not edit."
METAL_TYPES = {"float16": "half", "bfloat16": "bfloat", "float32": "float"}
TORCH_TYPES = {"int": "int32", "float": "float32", "uchar": "uint8"}  # of a buffer's elements
README = "README.md"
BUILDING = "docs/building.md"
CARD = "CARD.md"
PACKAGE_MODULE = "torch-ext/metal_flash_sdpa/_variants.py"
BUILD_TOML = "build.toml"
TILE_COLUMNS = {"prefill": "prefill tile", "decode": "decode tile"}  # family -> heading
NATIVE_SUFFIXES = (".cpp", ".h", ".mm")


class RenderError(RuntimeError):
    """A file that cannot be rendered; the message names it and says why."""


@dataclass(frozen=True)
class Changes:
    """How the tree differs from what codegen would write; paths are relative to the root."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.extra)

    def lines(self) -> Iterable[str]:
        """One line per file: what is wrong with it, and its path."""
        for kind in ("changed", "missing", "extra"):
            for path in getattr(self, kind):
                yield f"{kind:8} {path}"


def environment(templates: Path = TEMPLATES) -> Environment:
    """Jinja for Metal: an unknown variable is an error, block tags leave no blank lines."""
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def shader(variants: Sequence[Variant], jinja: Environment) -> str:
    """The Metal source of the variants that share a file.

    Raises RenderError naming the file if its template fails or it is not ASCII.
    """
    first = variants[0]
    signature = arguments.SIGNATURES[first.family]
    try:
        text = jinja.get_template(f"{first.template}/kernel.metal.j2").render(
            file=first.file,
            banner=BANNER,
            family=first.family,
            widths=first.widths,
            slices=first.tile.slices,
            dtype=first.dtype,
            element_bytes=first.element_bytes,
            metal_type=METAL_TYPES.get(first.dtype),
            stored_type=lambda tile: METAL_TYPES.get(tile.extra, "element"),
            rows_are_held={held for variant in variants for held in variant.rows_held},
            zip=zip,
            tiles=list(dict.fromkeys(variant.tile for variant in variants)),
            variants=variants,
            buffers=signature.buffers,
            ints=signature.ints,
            floats=signature.floats,
            mask_types=arguments.MASK_TYPES,
            kv_types=arguments.KV_TYPES,
            converted=arguments.converted(first.family, first.dtype),
        )
        text.encode("ascii")
    except (TemplateError, UnicodeEncodeError) as error:
        raise RenderError(f"{first.file}: {type(error).__name__}: {error}") from error
    return text


def manifest(variants: Iterable[Variant]) -> str:
    """generated/manifest.json: one variant per line, so that a diff reads well."""
    rows = ",\n".join("  " + json.dumps(variant.manifest_row()) for variant in variants)
    return f"[\n{rows}\n]\n"


def package_module(variants: Iterable[Variant], jinja: Environment) -> str:
    """What the shipped package needs of the manifest, as a Python module."""
    dispatch: dict[tuple[str, Widths, str, str | None, bool, bool, str], list[Variant]] = {}
    for v in variants:
        key = (v.family, v.widths, v.dtype, v.mask, v.sinks, v.dropout, v.kv_dtype)
        dispatch.setdefault(key, []).append(v)
    return jinja.get_template("variants.py.j2").render(
        banner=BANNER,
        dispatch=dispatch,
        latent=dict.fromkeys(widths for _, widths, *_ in dispatch if widths.latent),
        signatures=arguments.SIGNATURES,
        torch_types=TORCH_TYPES,
        mask_types=arguments.MASK_TYPES,
        kv_types=arguments.KV_TYPES,
    )


def native_sources(root: Path = ROOT) -> list[str]:
    """The native launcher's sources: what lies directly in torch-ext/."""
    paths = (path for path in (root / "torch-ext").iterdir() if path.suffix in NATIVE_SUFFIXES)
    return sorted(path.relative_to(root).as_posix() for path in paths)


def build_toml(variants: Iterable[Variant], jinja: Environment) -> str:
    """What kernel-builder builds: the project, the native sources and every shader."""
    return jinja.get_template("build.toml.j2").render(
        banner=BANNER, project=project(ROOT), native=native_sources(), files=files(variants)
    )


def support_table(variants: Iterable[Variant]) -> str:
    """The README's table of what is supported, in Markdown."""
    rows: dict[Widths, list[Variant]] = {}
    for variant in variants:
        if variant.family in TILE_COLUMNS:
            rows.setdefault(variant.widths, []).append(variant)
    lines = [
        f"| head_dim | dtypes | masks | sinks | {' | '.join(TILE_COLUMNS.values())} |",
        "| --- | --- | --- | --- |" + " --- |" * len(TILE_COLUMNS),
    ]
    for widths, of_dim in rows.items():
        dtypes = ", ".join(dict.fromkeys(v.dtype for v in of_dim))
        masks = ", ".join(dict.fromkeys(v.mask for v in of_dim if v.mask)) or "all, in decoding"
        sinks = " and ".join(dict.fromkeys(word for v in of_dim for word in with_sinks(v)))
        shapes = " | ".join(tile_shapes(v for v in of_dim if v.family == f) for f in TILE_COLUMNS)
        lines.append(f"| {widths} | {dtypes} | {masks} | {sinks} | {shapes} |")
    return "\n".join(lines) + "\n"


def with_sinks(variant: Variant) -> Iterable[str]:
    """Whether a kernel computes attention without sinks, or with them, or either."""
    learns = variant.mask not in MASKS  # when it runs, as it does its mask
    return ("without", "with") if learns else ("with" if variant.sinks else "without",)


def tile_shapes(variants: Iterable[Variant]) -> str:
    """The tiles of one head_dim: for 16-bit elements, then for float32 if they differ."""
    shapes: dict[int, dict[str, None]] = {}
    for v in variants:
        shapes.setdefault(v.element_bytes, {})[f"{v.tile.block_q} x {v.tile.step_k}"] = None
    return "; ".join(dict.fromkeys(", ".join(tiles) for tiles in shapes.values())) or "none"


def with_table(path: str, text: str, name: str, table: str) -> str:
    """A page's text with its table `name` as given.

    Raises RenderError naming the page if the table's markers are gone.
    """
    place = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    if len(place.findall(text)) != 1:
        raise RenderError(
            f"{path}: the markers around the {name} are missing, or there are several"
        )
    return place.sub(lambda m: m[1] + table + m[2], text)


def pages(variants: Iterable[Variant]) -> dict[str, str]:
    """The pages that people read and codegen writes tables into."""
    serving = targets.table(project(ROOT).oldest_torch)
    tables = {
        README: ("support table", support_table(variants)),
        BUILDING: ("targets table", serving),
        CARD: ("targets table", serving),
    }
    return {
        path: with_table(path, (ROOT / path).read_text(), name, table)
        for path, (name, table) in tables.items()
    }


def outputs(variants: tuple[Variant, ...], templates: Path = TEMPLATES) -> dict[str, str]:
    """Every file that codegen owns: path relative to the root -> text."""
    jinja = environment(templates)
    shaders = {f"generated/{name}": shader(row, jinja) for name, row in files(variants).items()}
    return {
        **shaders,
        "generated/manifest.json": manifest(variants),
        PACKAGE_MODULE: package_module(variants, jinja),
        BUILD_TOML: build_toml(variants, jinja),
        **pages(variants),
    }


def compare(files: dict[str, str], root: Path = ROOT) -> Changes:
    """What differs between `files` and the tree under `root`."""
    changed = [p for p in files if (root / p).is_file() and (root / p).read_text() != files[p]]
    missing = [p for p in files if not (root / p).is_file()]
    present = (p.relative_to(root).as_posix() for p in (root / "generated").rglob("*"))
    extra = [p for p in present if p not in files]
    return Changes(tuple(sorted(changed)), tuple(sorted(missing)), tuple(sorted(extra)))


def write(files: dict[str, str], root: Path = ROOT) -> Changes:
    """Make the tree equal to `files`; return what was different."""
    changes = compare(files, root)
    for path in (*changes.changed, *changes.missing):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path])
    for path in changes.extra:
        (root / path).unlink()
    return changes
