"""Mutants: the templates broken on purpose, to see that the tests can fail."""
