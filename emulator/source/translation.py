"""From Metal source to C++ that clang understands: a few rewrites of tokens, no parser."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import toolchain
from ..errors import EmulatorError
from . import rewrites
from .declarations import Parameter, find_declarations, find_host_kernels
from .scopes import Scopes
from .tokens import Tokens

# As on a GPU, everything is inlined: a kernel has one frame, alike in all its threads.
PROLOGUE = "#pragma clang attribute push(__attribute__((EMULATOR_INLINED)), apply_to = function)\n"
EPILOGUE = "\n#pragma clang attribute pop\n"


@dataclass(frozen=True)
class Text:
    """A Metal source as it was given."""

    text: str
    name: str  # for messages
    directory: Path  # where its relative includes start

    @classmethod
    def read(cls, path_or_source: str | os.PathLike[str]) -> Text:
        """A .metal file, or source text if it has a line break."""
        if isinstance(path_or_source, str) and "\n" in path_or_source:
            return cls(path_or_source, "<source>", Path.cwd())
        path = Path(path_or_source)
        try:
            return cls(path.read_text(), str(path), path.parent)
        except OSError as error:
            raise EmulatorError(f"cannot read the shader {path}: {error.strerror}") from None

    def preprocess(
        self, include: Sequence[str | os.PathLike[str]], defines: Mapping[str, object] | None
    ) -> str:
        """The source with its includes and macros expanded."""
        return toolchain.preprocess(
            self.text,
            self.name,
            self.directory,
            [str(path) for path in include],
            {key: str(value) for key, value in (defines or {}).items()},
        )


class Source:
    """A Metal source: its kernels by host name, and C++ for each of them."""

    def __init__(
        self, text: Text, preprocessed: str, constants: Mapping[int | str, rewrites.Constant]
    ) -> None:
        self.text = text  # as its author wrote it
        self._tokens = tokens = Tokens(preprocessed)
        self._scopes = Scopes(tokens)
        self._constants = constants
        #: Names of threadgroup variables, by their numbers in shim/arena.h.
        self.variables = rewrites.place_threadgroup_variables(tokens.copy(), self._scopes)
        rewrites.refuse_what_metal_refuses(tokens)
        self._declarations = list(find_declarations(tokens))
        found = find_host_kernels(tokens, self._declarations)
        self._kernels = {kernel.host_name: kernel for kernel in found}

    @property
    def kernels(self) -> list[str]:
        """Host names, in the order of the source."""
        return list(self._kernels)

    def parameters(self, host_name: str) -> tuple[Parameter, ...]:
        """The kernel's parameters, in order."""
        return self._kernels[host_name].declaration.parameters

    def cpp(self, host_name: str) -> str:
        """C++ in which this one kernel can be started; the others are left out."""
        tokens, scopes = self._tokens.copy(), self._scopes
        chosen = self._kernels[host_name]
        rewrites.substitute_function_constants(tokens, self._constants)
        rewrites.drop_members_for_other_spaces(tokens, scopes)
        rewrites.drop_member_address_spaces(tokens, scopes)
        rewrites.place_threadgroup_variables(tokens, scopes)
        rewrites.turn_array_parameters_into_pointers(tokens, scopes)
        rewrites.make_vectors(tokens)
        rewrites.suffix_literals(tokens)
        rewrites.give_arguments(tokens, chosen.declaration)
        rewrites.drop_threadgroup_attributes(tokens)
        rewrites.keep_one_kernel(tokens, self._kernels.values(), self._declarations, chosen)
        return f"{PROLOGUE}{tokens}{EPILOGUE}"
