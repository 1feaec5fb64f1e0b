"""Runs kernels that Apple's compiler made: AIR, the LLVM IR in Metal libraries.

>>> library = air.Library(Path("mlx.metallib"))
>>> kernel = library.function("sdpa_vector_float_64_64", {"has_mask": False, ...})
>>> kernel.launch(args, threadgroups=(8, 1, 1), threads=(1024, 1, 1))
"""

from .container import find_libraries
from .kernel import Kernel, Library

__all__ = ["Kernel", "Library", "find_libraries"]
