"""A target: a figure, what is asked of it, and whether it is met.

Everything that judges a figure here does so with this: counts, modelled times, and what a call
takes on the host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# How a verdict reads, on a terminal and on a page.
VERDICTS = {None: "", True: "met", False: "not met"}


@dataclass(frozen=True)
class Target:
    """A figure, and the limit that it is to keep to.

    Without a limit nothing is asked: the figure explains another.  `where` says which shape, or
    which kernels, it is of.
    """

    name: str
    figure: float
    limit: float | None = None
    at_least: bool = False
    where: str = ""

    @property
    def met(self) -> bool | None:
        """None if nothing is asked."""
        if self.limit is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def asked(self) -> str:
        sign = "at least" if self.at_least else "at most"
        return "" if self.limit is None else f"{sign} {self.limit:g}"

    @property
    def verdict(self) -> str:
        return VERDICTS[self.met]

    def __str__(self) -> str:
        """A line of a table."""
        line = f"{self.name:54} {self.figure:9.4g} {self.asked:>13}  {self.verdict:7}  {self.where}"
        return line.rstrip()


def missed(targets: Iterable[Target]) -> list[Target]:
    """Those that are not met."""
    return [target for target in targets if target.met is False]
