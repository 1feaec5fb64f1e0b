"""The CUDA executor: the same Metal as CUDA C++, compiled by NVRTC and run on an NVIDIA GPU."""

from . import compiler, rewrites, translation

__all__ = ["compiler", "rewrites", "translation"]
