"""A second front end: Metal as C++ for OpenCL, in which clang knows address spaces."""

from .front_end import check_types, compiler

__all__ = ["check_types", "compiler"]
