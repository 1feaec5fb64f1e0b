"""Fuzz: attention calls that nobody thought of, against the reference."""
