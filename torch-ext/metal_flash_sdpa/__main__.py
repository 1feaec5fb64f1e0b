"""`python -m metal_flash_sdpa`: the doctor; `run` before a script's name runs that script."""

import sys
from typing import List

from . import doctor, run


def main(arguments: List[str]) -> int:
    """Hand the arguments to the subcommand that they name; returns the exit status."""
    if arguments[:1] == ["run"]:
        return run.main(arguments[1:])
    return doctor.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
