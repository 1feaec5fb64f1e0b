"""Launches under the checks, which are themselves in shim/checks.h.

``checked`` prepares such a launch and sees what it wrote, ``messages`` says what was found, with
lines of the source from ``lines``.
"""
