"""Views of paged memory in host code: the index of a guest address in a TLB, and comparing pages that code lies on."""

from __future__ import annotations

import struct

from dragoman.dbt.state import EXEC_ENTRIES, PAGE_BITS, PAGE_SIZE, TLB_ENTRIES, VIEW_BIAS, VIEW_EXEC, VIEW_EXEC_PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.sites import Site


def index(site: Site, address: str, view: str) -> str:
    """Bits of the page number. bextr takes start and length from the low 16 bits of a register: `view` has them there."""
    from dragoman.dbt import llvm
    if "+bmi," in llvm.host_features() + ",":
        control = site.emit(f"ptrtoint ptr {view} to i64")
        return site.emit(f"call i64 @llvm.x86.bmi.bextr.64(i64 {address}, i64 {control})")
    number = site.emit(f"lshr i64 {address}, {PAGE_BITS}")
    return site.emit(f"and i64 {number}, {TLB_ENTRIES - 1}")


_ADDRESS = (1 << 64) - 1


def compare_pages(pages: list[tuple[int, int]], at: int, to: int, check: int, otherwise: int) -> bytes:
    """Code for the address `at`: to `to` if each guest page is in the view with the physical page of its key, else to `otherwise`
    with `check` in rcx (`free`). The view is in rsi (`mem`), rax is overwritten."""
    pairs = [(tag + 8 * (page >> PAGE_BITS & EXEC_ENTRIES - 1) - VIEW_BIAS, value)
             for page, key in pages for tag, value in ((VIEW_EXEC, page), (VIEW_EXEC_PAGE, key & -PAGE_SIZE))]
    size = 23 * len(pairs)
    code = bytearray()
    for offset, value in pairs:
        code += struct.pack("<HQ", 0xB848, value & _ADDRESS)            # mov rax, value
        code += struct.pack("<HBi", 0x3948, 0x86, offset)               # cmp [rsi + offset], rax
        code += struct.pack("<Hi", 0x850F, size + 5 - len(code) - 6)    # jne behind the jump
    code += struct.pack("<Bi", 0xE9, to - (at + size + 5))
    code += struct.pack("<HQ", 0xB948, check)                           # mov rcx, check
    code += struct.pack("<Bi", 0xE9, otherwise - (at + size + 20))
    return bytes(code)


assert VIEW_BIAS & 0xFF == PAGE_BITS and 1 << (VIEW_BIAS >> 8) == TLB_ENTRIES
