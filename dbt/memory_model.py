"""How guest addresses become host addresses in native code: flat or bounded (processes) or paged (machines).

Flat: one window, host = mem + guest address. Bounded: the same, and no address leads out of the window and its guards. Paged:
`mem` is the view in use, a TLB that each access looks into; what it does not have goes to a native routine (`load_miss8` and its
like), which fills it and tries again.
"""

from __future__ import annotations

from dragoman.dbt.host import x86_64_paging
from dragoman.dbt.state import (
    ACCESS_WRITE,
    JUMP_CACHE_BITS,
    PAGE_SIZE,
    VIEW_ADDEND,
    VIEW_BIAS,
    VIEW_JUMP_BITS,
    VIEW_READ,
    VIEW_WRITE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.sites import Site

BEYOND = 1 << 38                # of a bounded window, whose size this is: the first address of the guard behind it
ACCESS_SIZES = (1, 2, 4, 8)


class Flat:
    """host = mem + guest address; what cannot be accessed is a host fault."""
    jump_bits = JUMP_CACHE_BITS
    paged = strict = False

    @staticmethod
    def access(site: Site, address: str, size: int, write: bool) -> str:
        return site.emit(f"getelementptr i8, ptr {site.now['mem']}, i64 {address}")


class Bounded(Flat):
    """Addresses beyond the window all become its end, which cannot be accessed. Two instructions, no branch to be mispredicted."""

    @staticmethod
    def access(site: Site, address: str, size: int, write: bool) -> str:
        within = site.emit(f"icmp ult i64 {address}, {BEYOND}")
        return Flat.access(site, site.emit(f"select i1 {within}, i64 {address}, i64 {BEYOND}"), size, write)


class Paged:
    """A tag is compared with the page of the last byte, so that an access across two pages misses, too."""
    jump_bits = VIEW_JUMP_BITS
    paged = True
    strict = False

    @classmethod
    def page(cls, site: Site, address: str, size: int) -> str:
        """What the tag must be."""
        last = site.emit(f"add i64 {address}, {size - 1}") if size > 1 else address
        return site.emit(f"and i64 {last}, {-PAGE_SIZE}")

    @classmethod
    def access(cls, site: Site, address: str, size: int, write: bool) -> str:
        index = x86_64_paging.index(site, address, site.now["mem"])
        slot = site.emit(f"getelementptr i64, ptr {site.now['mem']}, i64 {index}")
        tag = site.emit(f"load i64, ptr {Paged.at(site, slot, VIEW_WRITE if write else VIEW_READ)}, align 8")
        page = cls.page(site, address, size)
        hit, missed = site.name(), site.name()
        site.do(f"br i1 {site.emit(f'icmp ne i64 {tag}, {page}')}, label %{missed}, label %{hit}, !prof !0")
        site.start(hit)
        body, site.lines = site.lines, site.tail
        site.lines.append(f"{missed}:")
        site.tlb_miss(address, size, write, hit)
        site.lines = body
        addend = site.emit(f"load i64, ptr {Paged.at(site, slot, VIEW_ADDEND)}, align 8")
        return site.emit(f"inttoptr i64 {site.emit(f'add i64 {addend}, {address}')} to ptr")

    @staticmethod
    def at(site: Site, slot: str, array: int) -> str:
        return site.emit(f"getelementptr i8, ptr {slot}, i64 {array - VIEW_BIAS}")


class Strict(Paged):
    """A misaligned access matches no tag: a machine whose hardware does not do them."""
    strict = True

    @classmethod
    def page(cls, site: Site, address: str, size: int) -> str:
        return site.emit(f"and i64 {address}, {-PAGE_SIZE | size - 1}")


Model = type[Flat] | type[Paged]
MODELS: dict[str, Model] = {"": Flat, "bounded-": Bounded, "paged-": Paged, "strict-": Strict}     # by the beginning of images' names


def miss_name(size: int, write: bool) -> str:
    return f"{'store' if write else 'load'}_miss{size}"


# name of the native routine -> what it has for `access`
MISSES = {miss_name(size, write): size | ACCESS_WRITE * write for write in (False, True) for size in ACCESS_SIZES}
