"""The index of a guest address in a TLB, in as few host instructions as the host has: one with BMI1."""

from __future__ import annotations

from dragoman.dbt.state import PAGE_BITS, TLB_ENTRIES, VIEW_BIAS

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


assert VIEW_BIAS & 0xFF == PAGE_BITS and 1 << (VIEW_BIAS >> 8) == TLB_ENTRIES
