"""Shaders that nobody here wrote, unmodified, run on the emulator: do they compute attention?"""
