"""What can go wrong, from a shader that does not compile to one that misbehaves."""


class EmulatorError(Exception):
    """Base of all; raised itself for wrong arguments, grids and limits."""


class CompileError(EmulatorError):
    """The shader does not compile.  Names the .metal file's own lines."""


class RaceError(EmulatorError):
    """Two threads touch the same byte unordered, and at least one writes it."""


class BoundsError(EmulatorError):
    """A thread reaches outside the memory it was given."""


class MisalignedError(BoundsError):
    """A thread reads or writes a value at an address that its type does not allow."""


class UninitializedError(EmulatorError):
    """A thread reads memory that nobody has written."""


class DivergentBarrierError(EmulatorError):
    """Some threads stand at a barrier or simdgroup operation that others do not reach."""
