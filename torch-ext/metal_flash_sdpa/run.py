"""`python -m metal_flash_sdpa run script.py ...`: a script as it is, on these kernels."""

import argparse
import runpy
import sys
from pathlib import Path
from typing import List

from .replace import DEVICE, replace_sdpa


def main(arguments: List[str]) -> int:
    """Run a script or a module with torch's function replaced; returns 0 where it ends well."""
    parser = argparse.ArgumentParser(
        prog="python -m metal_flash_sdpa run",
        description="Run a Python script, unchanged, with torch's scaled_dot_product_attention "
        "replaced by this package's. Calls that the kernels do not serve go to torch's own.",
    )
    parser.add_argument(
        "--device", default=DEVICE, help="the type of the tensors' device (default: %(default)s)"
    )
    parser.add_argument("-m", action="store_true", dest="module", help="SCRIPT names a module")
    parser.add_argument("script", help="the script, or with -m the module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script is given")
    options = parser.parse_args(arguments)
    try:
        replacement = replace_sdpa(options.device)
    except RuntimeError as error:
        parser.error(f"--device {options.device}: {error}")
    if not options.module and not Path(options.script).exists():
        parser.error(f"{options.script}: there is no such file")
    # As Python itself does: the script sees its own arguments, and imports what lies beside it.
    sys.argv = [options.script, *options.arguments]
    with replacement:
        if options.module:
            sys.path[0] = str(Path.cwd())
            runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(options.script).resolve().parent)
            runpy.run_path(options.script, run_name="__main__")
    return 0
