"""What one virtual CPU keeps of address translation: its block of words behind its views, and the memory for its tables.

Only the thread of the virtual CPU changes these, but for the two bitmaps, in which others mark frames.
"""

from __future__ import annotations

import ctypes
import mmap

from dragoman.dbt.compiled import compiled, load64, store64
from dragoman.dbt.state import (
    EXEC_ENTRIES,
    NO_PAGE,
    PAGE_BITS,
    TLB_ENTRIES,
    VIEW_EXEC,
    VIEW_JUMP_BITS,
    VIEW_JUMPS,
    VIEW_SIZE,
    VIEW_SPACE,
    VIEWS,
    _layout,
)
from dragoman.runtime.memory.frames import M_STATES, MAX_VCPUS, MEMORY, MEMORY_SIZE, S_MEMORY, S_VIEWS, SHADOW_TRACE, bitmap_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MAP_NORESERVE = 0x4000         # <asm-generic/mman-common.h>; Python's mmap does not have it in 3.11
SECOND_BITS = 14               # entries of the second level: 512 KiB, which stay in the host's second-level cache
SPACES, NUMBERS = 64, 4095     # address spaces known at a time; numbers that they get one after the other
MIRRORS = 4096                 # page tables traced at a time
WALK_LEVELS = 5
HUGE_LEVELS, HUGE_BITS = 3, 13  # sizes of large pages; large pages known at a time

# What a walk found. Depth is the number of entries read; the last one is the leaf.
WALK, WALK_SIZE = _layout("""
physical        address of the page
raw             what may be granted by the entry as it is now: RIGHT bits and RAW_USER
level           of the leaf: 0 a page, each further one larger by the entries of a table
depth
value           after a refusal: the address that the fault reports
path            of each entry: physical address, value
""" + "\n".join(f"path{n}" for n in range(1, 2 * WALK_LEVELS)))

MMU, _words = _layout("""
memory          address of the MEMORY block
vcpu            number of the virtual CPU
writer          its bit in frame words, as a writer
tick            choices of views so far
physical        after a refusal that is no fault: physical address
physical_next   of an access that crosses a page: of its second page
cause           after a refusal that is a fault: number of the instruction set
value           and the address that goes with it
second          second level: 1 << SECOND_BITS entries of SECOND_SIZE bytes
frames          two words for each frame of RAM (OWN_*)
mirrors         memory for MIRRORS mirrors of MIRROR_SIZE bytes; mirror 0 is not used
mirror_top      mirrors that were ever in use
mirror_free     the first of those free again, 0: none
number_top      the last number that was given to an address space
numbers         by number: 1 if an address space has it
huge            large pages that were noted page by page: 1 << HUGE_BITS keys (large_key), 0: none
unsynced        bitmap: traced frames that have perhaps been written since they were compared
protect         bitmap: frames that others ask to write no more
stat_second     fills out of the second level
stat_walks      walks
stat_refused    accesses that were refused
stat_switches   choices of another view
stat_recycled   of these, those that emptied a view
stat_traced     frames that became traced
stat_synced     frames compared
stat_dropped    page-table entries found changed
stat_fences     fences of all addresses
stat_fence_pages    fences of one page
stat_resets     times that all was forgotten
space_next      the place among known address spaces that is taken next
owed            OWED bits: what is to be dropped before translations are used again
""")
MMU_RESULT = _words            # WALK
MMU_KEYS = MMU_RESULT + WALK_SIZE              # of each view: its key, when it was used
MMU_USED = MMU_KEYS + 8 * VIEWS
MMU_SPACES = MMU_USED + 8 * VIEWS              # of known address spaces: number (0: none), what identifies it
MMU_SPACE_KEYS = MMU_SPACES + 8 * SPACES
MMU_SIZE = (MMU_SPACE_KEYS + 8 * SPACES + 63) & -64
MMU_AT = VIEWS * VIEW_SIZE     # behind the views

# Of each view, in the words that state.py leaves to the memory subsystem:
VIEW_RIGHTS = VIEW_SPACE       # what `rights` says of data, then of code
VIEW_CODE_RIGHTS = VIEW_SPACE + 8
VIEW_CONTEXT = VIEW_SPACE + 16    # what `context` says
VIEW_SPACES = VIEW_SPACE + 24  # number of the address space of data | of code << 12

SECOND_SIZE = 32
SECOND_TAG, SECOND_PAGE, SECOND_FROM = 0, 8, 16    # page | space number; physical page | RAW; physical address of its leaf
OWN_SIZE, OWN_SLOT, OWN_MIRROR = 16, 0, 8      # index of write tags << 16 | views, or SLOT_MANY; number of the mirror
SLOT_MANY = 1 << 40
MIRROR_SIZE = 8 * 512 + 64     # entries as they were used (0: not), then:
MIRROR_OWNER, MIRROR_USED, MIRROR_NEXT, MIRROR_FRAME = 4096, 4104, 4112, 4120  # whose table it is; entries in use; free list; frame
OWNER_PAGE = -1 << 21         # a table's first entry is a multiple of its span
OWNER_LEVEL, OWNER_MANY, OWNER_MIXED = 12, 4095, 7     # guest page of its first entry | level << 12 | space; or tables of several
OWED_SWEEP, OWED_ALL = 1, 2    # entries whose mirror is gone, with all translated views; everything


@compiled("i8(i8)")
def mmu_of(state: int) -> int:
    return load64(state + S_VIEWS) + MMU_AT


@compiled("i8(i8,i8)")
def other_mmu(memory: int, vcpu: int) -> int:
    """Of the virtual CPU with this number."""
    return mmu_of(load64(load64(memory + M_STATES) + 8 * vcpu))


@compiled("void(i8,i8)")
def count(mmu: int, field: int) -> None:
    store64(mmu + field, load64(mmu + field) + 1)


class Block:
    """Zeroed memory that costs nothing until it is touched; `address` is a multiple of 64 KiB."""

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size + 0xFFFF, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.size, self.address = size, (start + 0xFFFF) & -0x10000

    def words(self, count: int) -> ctypes.Array[ctypes.c_int64]:
        """The first `count` 64-bit words, to read and write."""
        return (ctypes.c_int64 * count).from_address(self.address)


class Memory:
    """The MEMORY block of a machine with its tables. `architecture` has the instruction set's words by their names, `shadow` how
    shadow page tables are kept (frames.py)."""

    def __init__(self, base: int, size: int, host: int, architecture: dict[str, int], shadow: int = SHADOW_TRACE) -> None:
        frames = size >> PAGE_BITS
        first, second = bitmap_words(frames)
        self.frames, self.bitmap = frames, (first, second)
        self.bitmap_size = 8 * (first + second + 2)
        self._block = Block(MEMORY_SIZE + 8 * MAX_VCPUS + self.bitmap_size + 8 * frames)
        self.address = self._block.address
        states = self.address + MEMORY_SIZE
        dirty = states + 8 * MAX_VCPUS
        self.words = self._block.words(MEMORY_SIZE // 8)
        self.set(ram_base=base, ram_size=size, ram_host=host, shadow=shadow, states=states, dirty=dirty,
                 frames=dirty + self.bitmap_size, **architecture)
        self.place_bitmap(dirty)
        self.mmus: list[Mmu] = []

    def set(self, **words: int) -> None:
        for name, value in words.items():
            self.words[MEMORY[name] // 8] = value

    def word(self, name: str) -> int:
        return self.words[MEMORY[name] // 8]

    def place_bitmap(self, address: int) -> None:
        """An empty bitmap of frames."""
        (ctypes.c_int64 * 2).from_address(address)[:] = list(self.bitmap)

    def watch(self, pages: Sequence[int]) -> None:
        """Guest pages (addresses) that no TLB is to have from now on. Who holds translations of them has to forget them."""
        self._watches = (ctypes.c_int64 * len(pages))(*pages)
        self.set(watches=ctypes.addressof(self._watches), watch_count=len(pages))

    def attach(self, state: int) -> Mmu:
        """Give the CPU state at this address views, tables and a number; raises ValueError beyond MAX_VCPUS."""
        if len(self.mmus) >= MAX_VCPUS:
            raise ValueError(f"at most {MAX_VCPUS} virtual CPUs")
        mmu = Mmu(self, state, len(self.mmus))
        self.mmus.append(mmu)
        return mmu


class Mmu:
    """Views and tables of one virtual CPU, from Python's side."""

    def __init__(self, memory: Memory, state: int, vcpu: int) -> None:
        sizes = {"second": SECOND_SIZE << SECOND_BITS, "frames": OWN_SIZE * memory.frames, "mirrors": MIRROR_SIZE * MIRRORS,
                 "numbers": 8 * NUMBERS, "huge": 8 << HUGE_BITS,
                 "unsynced": memory.bitmap_size, "protect": memory.bitmap_size}
        self._block = Block(MMU_AT + MMU_SIZE + sum(sizes.values()))
        self.views, self.address = self._block.address, self._block.address + MMU_AT
        self.words = (ctypes.c_int64 * (MMU_SIZE // 8)).from_address(self.address)
        at = self.address + MMU_SIZE
        for name, size in sizes.items():
            self.words[MMU[name] // 8] = at
            at += size
        memory.place_bitmap(self.word("unsynced"))
        memory.place_bitmap(self.word("protect"))
        for name, value in {"memory": memory.address, "vcpu": vcpu, "writer": 1 << 16 + vcpu, "mirror_top": 1}.items():
            self.words[MMU[name] // 8] = value
        for view in range(VIEWS):
            self._prepare(self.views + view * VIEW_SIZE)
        entry = ctypes.c_int64
        entry.from_address(state + S_MEMORY).value = memory.address
        entry.from_address(state + S_VIEWS).value = self.views
        (entry * MAX_VCPUS).from_address(memory.word("states"))[vcpu] = state

    @staticmethod
    def _prepare(view: int) -> None:
        """No tag matches: zeroed memory would match the first page."""
        tags = 2 * TLB_ENTRIES
        (ctypes.c_int64 * tags).from_address(view)[:] = [NO_PAGE] * tags
        (ctypes.c_int64 * EXEC_ENTRIES).from_address(view + VIEW_EXEC)[:] = [NO_PAGE] * EXEC_ENTRIES
        (ctypes.c_int64 * (2 << VIEW_JUMP_BITS)).from_address(view + VIEW_JUMPS)[::2] = [1] * (1 << VIEW_JUMP_BITS)

    def word(self, name: str) -> int:
        return self.words[MMU[name] // 8]
