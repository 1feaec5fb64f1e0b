"""Launches a compiled kernel on this machine's CPU.

``arguments`` binds what a caller passes, ``build`` loads a compiled kernel, ``execution`` runs it
on all cores, and ``structs`` mirrors what Python and the shim pass each other.  ``arrays`` reads
the arguments of the command line.
"""
