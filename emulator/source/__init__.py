"""Reads Metal source: from the text to C++ that clang understands, and what Apple's would refuse.

``tokens`` and ``scopes`` are the readers that all others share: no parser, brackets and statements
only.  ``declarations`` finds kernels, ``rewrites`` change tokens, and ``translation`` puts the two
together; ``outline`` and ``refusals`` are lint.
"""
