"""Counts what a launch does, to the instruction, and estimates registers: from the compiler's IR.

``ir`` puts a counter into each basic block, ``instructions`` knows what an instruction counts as,
``counts`` multiplies the two; ``registers`` follows the live ranges of values.
"""
