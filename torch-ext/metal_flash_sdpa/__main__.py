"""`python -m metal_flash_sdpa`: its subcommands, each in a module of its own."""

import sys
from typing import List

from . import run

USAGE = "usage: python -m metal_flash_sdpa run [--device DEVICE] [-m] SCRIPT [ARGUMENT ...]"


def main(arguments: List[str]) -> int:
    """Hand the arguments to the subcommand that they name; returns the exit status."""
    if arguments[:1] == ["run"]:
        return run.main(arguments[1:])
    # Without a subcommand: the doctor, `return doctor.main(arguments)`.
    print(USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
