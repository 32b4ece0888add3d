"""The compiled functions of a machine: which there are, and how Python calls them by name."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping

from dragoman.dbt.compiled import FUNCTIONS, compiled, fetch_and, fetch_or

_HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = (_HERE, os.path.join(_HERE, "riscv"), os.path.join(os.path.dirname(_HERE), "memory"))


@compiled("i8(i8,i8)")
def set_bits(word: int, bits: int) -> int:
    """Atomically; returns what was there."""
    return fetch_or(word, bits)


@compiled("i8(i8,i8)")
def clear_bits(word: int, bits: int) -> int:
    return fetch_and(word, ~bits)


class Native:
    """`native.flush_tlb(state, address, asid)` calls the function of that name in the image, without the GIL."""

    def __init__(self, symbols: Mapping[str, int], names: list[str]) -> None:
        for name in names:
            known = FUNCTIONS[name]
            kind = ctypes.CFUNCTYPE(ctypes.c_int64 if known.returns else None, *[ctypes.c_int64] * known.arguments)
            setattr(self, name, kind(symbols[name]))

    def __getattr__(self, name: str) -> Callable[..., int]:
        raise AttributeError(f"no compiled function {name}")
