"""What became of a mutant, kept by content; and the reviewed list of those that may survive."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from verify.mutants.breeding import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
STORE = ROOT / "build" / "mutants"
SURVIVORS = Path(__file__).with_name("survivors.toml")

# How a mutant dies, in the order of the table: Jinja or the compiler refuses it, it takes more or
# less threadgroup memory than the matrix says, the output is wrong, memory around the output is
# overwritten, the process ends, it does not end, the emulator raises (the checks), or the result
# is right and took more work than the original's.
KILLED = (
    "template",
    "compiler",
    "memory",
    "wrong numbers",
    "damage",
    "crash",
    "time limit",
    "emulator",
    "more work",
)

# What a verdict depends on beside the shader: the tests, what they import, and the emulator.
WITNESSES = (
    "emulator/**/*.py",
    "emulator/shim/*",
    "emulator/cuda/shim/*",
    "torch-ext/metal_flash_sdpa/**/*.py",
    "verify/*.py",
    "verify/mutants/trial.py",
)


@dataclass(frozen=True)
class Verdict:
    """How a mutant was killed, by which variant and case; or that it was not."""

    how: str  # one of KILLED, or "survived"
    variant: str = ""
    case: str = ""
    why: str = ""

    @property
    def killed(self) -> bool:
        return self.how in KILLED


def ground(root: Path = ROOT) -> str:
    """A digest of all that verdicts depend on beside the shaders."""
    digest = hashlib.sha256()
    for pattern in WITNESSES:
        for path in sorted(root.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Store:
    """Verdicts on disk, each under the digest of all that it depends on: none is ever stale."""

    def __init__(self, texts: Mapping[str, str], folder: Path = STORE) -> None:
        self._folder = folder
        self._ground = ground() + json.dumps(texts, sort_keys=True)

    def _path(self, mutant: Mutant) -> Path:
        content = "\0".join((self._ground, mutant.file, mutant.text))
        return self._folder / f"{hashlib.sha256(content.encode()).hexdigest()}.json"

    def get(self, mutant: Mutant) -> Verdict | None:
        """The mutant's verdict, if one is known."""
        try:
            return Verdict(**json.loads(self._path(mutant).read_text()))
        except FileNotFoundError:
            return None

    def put(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep a verdict."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(mutant)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(verdict)))
        draft.replace(path)


@dataclass(frozen=True)
class Reason:
    """Why a mutant is equivalent."""

    line: str
    becomes: str
    reason: str


def reasons(path: Path = SURVIVORS) -> dict[str, Reason]:
    """The reviewed list: mutant id -> reason.  Raises ValueError if it is malformed."""
    found: dict[str, Reason] = {}
    listed = tomllib.loads(path.read_text())
    if listed.keys() - {"equivalent"}:
        raise ValueError(f"{path.name}: {', '.join(listed)}: must be [[equivalent]] alone")
    for group in listed.get("equivalent", []):
        if set(group) != {"reason", "mutants"} or not group["reason"].strip():
            raise ValueError(f"{path.name}: each [[equivalent]] has a reason and mutants")
        for name, (line, becomes) in group["mutants"].items():
            if name in found:
                raise ValueError(f"{path.name}: {name} is listed twice")
            found[name] = Reason(line, becomes, " ".join(group["reason"].split()))
    return found


def orphans(mutants: Iterable[Mutant], listed: Mapping[str, Reason]) -> list[str]:
    """Entries of the list that name no mutant, or one that is something else by now."""
    changes = {m.id: (flat(m.line), flat(m.becomes)) for m in mutants}
    return [
        name
        for name, entry in listed.items()
        if changes.get(name) != (flat(entry.line), flat(entry.becomes))
    ]


def flat(text: str) -> str:
    """Text without its indentation, as the list writes it."""
    return "\n".join(line.strip() for line in text.splitlines())
