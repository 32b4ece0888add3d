"""Contexts of RISC-V machines: what else than its bytes the meaning of an instruction depends on, as a small number."""

from __future__ import annotations

# Bits 0-1: privilege mode, 0 U, 1 S, 3 M. They lie below the page offset, so that a page's address has room for them.
MODE = 3
FLOAT_OFF = 4           # mstatus.FS = 0: whatever touches floating-point state is an illegal instruction
TIME_OFF = 8            # the counter-enable registers hide `time` from this mode
CONTEXTS = 16
CONTEXT_MASK = CONTEXTS - 1
EVERYTHING = 3          # where the most instructions are what they are elsewhere: for disassembling
# Mode 2 is reserved, and M mode sees every counter.
VALID = tuple(context for context in range(CONTEXTS) if context & MODE != 2 and context & (MODE | TIME_OFF) != 3 | TIME_OFF)


def describe(context: int) -> str:
    """In words, for logs: `S`, `U without float`."""
    name = {0: "U", 1: "S", 3: "M"}[context & MODE]
    return name + " without float" * bool(context & FLOAT_OFF) + " without time" * bool(context & TIME_OFF)
