"""Seven models in transformers, tiny and random: this package's attention against eager.

    python examples/transformers_tiny.py

On a Mac it runs on the GPU, elsewhere through the emulator.  The first run compiles the kernels.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the builder, the tiny models and the emulator

EMULATOR = () if sys.platform == "darwin" else ("numpy", "ziglang")
NEEDED = ("torch", "transformers", "kernels", *EMULATOR)
LEAST_COSINE = 0.999999
NEW = 12  # tokens to generate


def main() -> int:
    """Print the table; return how many models differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--build",
        type=Path,
        default=ROOT / "build",
        metavar="DIRECTORY",
        help="where the package is built before it is loaded (default: build)",
    )
    build = parser.parse_args().build
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}.  ci/nox -s examples installs what it needs")

    from ci.build import assemble, hub_name, in_place_of_the_hub

    # Before transformers is imported.  Published, the package would need none of this.
    os.environ.update(in_place_of_the_hub(assemble(build)))

    import torch
    from transformers.utils import logging

    from verify.tiny_models import MODELS, agreement, make, tokens

    logging.set_verbosity_error()
    device = "mps" if torch.backends.mps.is_available() else "cpu"
    text = tokens(2, 70).to(device)
    print(f"{'model':23}{'special':45}{'cosine':>12}{'argmax':>8}  {NEW} tokens")
    different = 0
    for name, model in MODELS.items():
        eager, ours = (make(name, attention).to(device) for attention in ("eager", hub_name()))
        with torch.no_grad():
            agrees = agreement(ours(text).logits.flatten(0, 1), eager(text).logits.flatten(0, 1))
        same, generated = True, "(does not generate)"
        if model.generates:
            options = {"max_new_tokens": NEW, "do_sample": False}
            same = torch.equal(ours.generate(text, **options), eager.generate(text, **options))
            generated = "identical" if same else "DIFFERENT"
        print(
            f"{name:23}{model.special:45}{agrees.cosine:12.9f}{agrees.argmax:8.1%}  {generated}",
            flush=True,
        )
        different += not (same and agrees.cosine >= LEAST_COSINE and agrees.argmax == 1.0)
    return different


if __name__ == "__main__":
    sys.exit(main())
