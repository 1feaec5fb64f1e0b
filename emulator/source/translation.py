"""From Metal source to C++ that clang understands: a few rewrites of tokens, no parser."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import cuda
from ..errors import EmulatorError
from . import rewrites
from .declarations import HostKernel, Parameter, find_declarations, find_host_kernels
from .preprocessor import preprocess
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
        return preprocess(
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
        self.constants = constants  # values of function constants, by index or name
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

    def function_name(self, host_name: str) -> str:
        """What the source calls the function, or the template that it is of."""
        return self._kernels[host_name].declaration.name

    def alone(self, host_name: str) -> Tokens:
        """The source as it is, with its function constants' values and without other kernels."""
        tokens = self._tokens.copy()
        for kernel in self._kernels.values():
            if kernel.host_name != host_name:
                head, body = kernel.declaration.head, kernel.declaration.body
                tokens.blank(*(kernel.statement or (head[0], body[1] + 1)))
        rewrites.substitute_function_constants(tokens, self.constants)
        return tokens

    def cpp(self, host_name: str) -> str:
        """C++ in which this one kernel can be started; the others are left out."""
        tokens, scopes = self._tokens.copy(), self._scopes
        chosen = self._kernels[host_name]
        self._rewrite(tokens)
        rewrites.turn_array_parameters_into_pointers(tokens, scopes)
        rewrites.make_vectors(tokens)
        rewrites.give_arguments(tokens, chosen.declaration)
        rewrites.drop_threadgroup_attributes(tokens)
        rewrites.state_thread_limit(tokens, chosen.declaration)
        self._keep(tokens, chosen, rewrites.entry(chosen))
        return f"{PROLOGUE}{tokens}{EPILOGUE}"

    def passed_by_value(self, host_name: str) -> set[int]:
        """Of which [[buffer(n)]] CUDA C++ gets the bytes, not an address."""
        parameters = self.parameters(host_name)
        return {p.index for p in parameters if cuda.rewrites.is_by_value(self._tokens, p)}

    def cuda(self, host_name: str, finite_math: bool = False) -> str:
        """The same as CUDA C++."""
        tokens = self._tokens.copy()
        chosen = self._kernels[host_name]
        entry = cuda.rewrites.entry(tokens, chosen)
        self._rewrite(tokens)
        cuda.rewrites.drop_parameter_attributes(tokens, chosen.declaration)
        rewrites.drop_threadgroup_attributes(tokens)
        cuda.rewrites.make_constants_constant(tokens, self._scopes)
        cuda.rewrites.swizzle(tokens)
        cuda.rewrites.drop_overloads_on_spaces(tokens)
        cuda.rewrites.state_thread_limit(tokens, chosen.declaration)
        self._keep(tokens, chosen, entry)
        tokens = Tokens(str(tokens))  # with what the rewrites wrote
        cuda.rewrites.refuse_unset_constants(tokens)
        cuda.rewrites.name_the_program(tokens)
        cuda.rewrites.translate_markers(tokens)
        return cuda.translation.assemble(host_name, str(tokens), finite_math)

    def _rewrite(self, tokens: Tokens) -> None:
        """What both executors need."""
        rewrites.substitute_function_constants(tokens, self.constants)
        rewrites.drop_members_for_other_spaces(tokens, self._scopes)
        rewrites.drop_member_address_spaces(tokens, self._scopes)
        rewrites.place_threadgroup_variables(tokens, self._scopes)
        rewrites.suffix_literals(tokens)

    def _keep(self, tokens: Tokens, chosen: HostKernel, entry: str) -> None:
        kernels = self._kernels.values()
        rewrites.keep_one_kernel(tokens, kernels, self._declarations, chosen, entry)
