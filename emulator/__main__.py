"""The command line: `python -m emulator --help`."""

from __future__ import annotations

import argparse
import concurrent.futures
import sys
from collections.abc import Sequence

from .errors import EmulatorError
from .refusals import lint


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the process's exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except EmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator", description="Metal shaders on this machine's CPU."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser(
        "lint", help="find what Apple's compiler refuses", description=lint.__doc__
    )
    command.add_argument("files", nargs="+", metavar="kernel.metal")
    _add_source_options(command)
    command.set_defaults(run=_lint)
    return parser


def _add_source_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-I", dest="include", action="append", default=[], metavar="DIRECTORY",
        help="where #include looks",
    )  # fmt: skip
    command.add_argument(
        "-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="a macro"
    )
    command.add_argument(
        "--metal", default="3.1", metavar="VERSION", help="of the language (default: %(default)s)"
    )


def _defines(options: argparse.Namespace) -> dict[str, str]:
    pairs = (define.partition("=") for define in options.defines)
    return {name: value if equals else "1" for name, equals, value in pairs}


def _lint(options: argparse.Namespace) -> int:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(
            lambda file: lint(file, options.include, _defines(options), options.metal),
            options.files,
        )
        findings = [finding for file in found for finding in file]
    for finding in findings:
        print(finding)
    print(f"{len(options.files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
