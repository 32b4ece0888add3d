"""Host instructions whose constant is a hole of a stencil (AMD64 manual, volume 3: their forms with an immediate, and LEA).

LLVM would take a register for a hole, that of a shift and of an `and` always.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.sites import Site

_INSTRUCTION = {"and": "and", "or": "or", "xor": "xor", "shl": "shl", "lshr": "shr", "ashr": "sar", "rotr": "ror"}
_SUFFIX = {32: "l", 64: "q"}


def by_constant(site: Site, op: str, bits: int, value: str, hole: str) -> str | None:
    """`value` op the symbol `hole`, a signed number of 32 bits; of a shift the amount. None: LLVM does it as well."""
    if bits not in _SUFFIX:
        return None
    if op == "add" and bits == 32:
        return site.emit(f'call i32 asm "leal ${{2:c}}(${{1:q}}), ${{0:k}}", "=r,r,i"(i32 {value}, ptr @{hole})')
    if op not in _INSTRUCTION:
        return None
    return site.emit(f'call i{bits} asm "{_INSTRUCTION[op]}{_SUFFIX[bits]} $2, $0", "=r,0,i,~{{flags}}"(i{bits} {value}, ptr @{hole})')
