"""Metal's scalar types and address spaces, by the codes that the shim gives them."""

from __future__ import annotations

# code -> Metal's name and the dtype's.  Codes are those of the struct module, and E for bfloat; S
# stands for a struct, V for void: a pointer to it takes elements of any type.
SCALARS = {
    "?": ("bool", "bool"), "b": ("char", "int8"), "B": ("uchar", "uint8"),
    "h": ("short", "int16"), "H": ("ushort", "uint16"), "i": ("int", "int32"),
    "I": ("uint", "uint32"), "q": ("long", "int64"), "Q": ("ulong", "uint64"),
    "e": ("half", "float16"), "E": ("bfloat", "bfloat16"), "f": ("float", "float32"),
}  # fmt: skip
SPACES = ("by value", "device", "constant", "threadgroup")  # enum Space of shim/types.h
