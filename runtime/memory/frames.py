"""Physical frames of a machine: who may write to them, which hold code, which hold page tables; and the block that says where all is.

The block (MEMORY, address in the CPU state's `user2`) is shared by the virtual CPUs of a machine; each has an Mmu of its own
(mmu.py). A frame is a page of guest RAM; its word in the frame table has flags, the *writers* (virtual CPUs that may hold a
TLB entry by which they write to it) and the *tracers* (those whose shadow tables were made from it).

Protecting a frame needs no waiting for others: a writer sets its bit before it has the entry, who protects sets the flag, and
both see what was there before, since it is one word. So either the writer sees the flag and marks the frame as written, or
who protects sees the writer, marks the frame as written itself and asks the writer to give up its entries. Until it has done
so the frame counts as written: its code is verified at each fence, its tables are compared.

Sharing of frames between machines, their copies on write and the zero page are the host's: guest RAM is a mapping of a file or
of memory (physical.py), private for a clone, and its reference counts are those of the host's page cache.
"""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, fetch_and, fetch_or, load64, lshr, wrap
from dragoman.dbt.state import OFFSET, PAGE_BITS, PAGE_SIZE, _layout

MEMORY, MEMORY_SIZE = _layout("""
ram_base        guest-physical address of RAM, page-aligned
ram_size        bytes, whole pages
ram_host        host address of RAM
frames          address of the frame table: a word for each page of RAM
shadow          how shadow page tables are kept: SHADOW_OFF, SHADOW_FENCE, SHADOW_TRACE
walk            function of the instruction set (state, address, kind, result) -> 0 or cause; the result is WALK (mmu.py)
space           function (state, kind) -> what identifies the address space, 0: accesses are not translated
rights          function (state, kind) -> 16 nibbles of RIGHT bits: what the present context may do with RAW bits of an entry
context         function (state) -> what translations of code depend on, below 4096; 0: nothing
pmp             function (state, physical address, RIGHT bits, mode) -> 1: memory protection allows all of them; 0: there is no protection
asid_shift      where the address space's identifier has its ASID
asid_mask
soft_bits       bits of a page-table entry that may become 1 with no effect on what was made from it (accessed, dirty)
leaf_bits       an entry with one of these, or of level 0, is a leaf
table_shift     other entries: physical address of the next table = entry << table_shift & table_mask
table_mask
states          addresses of CPU states by number of the virtual CPU, 0: none
dirty           bitmap: frames with code that was perhaps written over
dirty_code      how many these are, with those that are being verified
watches         guest addresses of pages whose accesses are made outside native code, since a debugger watches them
watch_count     how many there are
""")
MAX_VCPUS = 16
# There are none; a fence of all addresses drops what its address space has; page tables are traced and compared at fences.
SHADOW_OFF, SHADOW_FENCE, SHADOW_TRACE = range(3)
SHADOWS = ("off", "fence", "trace")     # their names
KIND_READ, KIND_WRITE, KIND_EXECUTE = range(3)
RIGHT_READ, RIGHT_WRITE, RIGHT_EXECUTE = 1, 2, 4
RAW_USER = 8                    # beside the rights: the class of a page that `rights` takes into account
FRAME_CODE, FRAME_DIRTY = 1, 2  # code was translated from it; it may have been written since, and is in `dirty`
WRITERS, TRACERS = 16, 32       # places of the two masks of virtual CPUs
VCPU_MASK = (1 << MAX_VCPUS) - 1
REQUEST_PROTECT = 1 << 32       # of the state's `request`: give_up_writes has something to do
REQUEST_NOTES = 1 << 33         # and: events were noted for the log (notes.py)

S_MEMORY, S_VIEWS, S_REQUEST, S_BUDGET = OFFSET["user2"], OFFSET["user3"], OFFSET["request"], OFFSET["budget"]
M_BASE, M_SIZE, M_HOST, M_FRAMES = (MEMORY[n] for n in ("ram_base", "ram_size", "ram_host", "frames"))
M_SHADOW, M_WALK, M_SPACE, M_RIGHTS, M_CONTEXT, M_PMP = (MEMORY[n] for n in ("shadow", "walk", "space", "rights", "context", "pmp"))
M_ASID_SHIFT, M_ASID_MASK, M_SOFT, M_LEAF = (MEMORY[n] for n in ("asid_shift", "asid_mask", "soft_bits", "leaf_bits"))
M_TABLE_SHIFT, M_TABLE_MASK = MEMORY["table_shift"], MEMORY["table_mask"]
M_STATES, M_DIRTY, M_DIRTY_CODE = MEMORY["states"], MEMORY["dirty"], MEMORY["dirty_code"]
M_WATCHES, M_WATCH_COUNT = MEMORY["watches"], MEMORY["watch_count"]


@compiled("i8(i8,i8)")
def frame_of(memory: int, physical: int) -> int:
    """Number of the frame that holds a physical address, -1: it is not RAM."""
    offset = physical - load64(memory + M_BASE)
    return offset >> PAGE_BITS if offset >= 0 and offset < load64(memory + M_SIZE) else -1


@compiled("i8(i8,i8)")
def is_watched(memory: int, address: int) -> int:
    """1 if a debugger watches something on the guest page of this address: no TLB has it."""
    table, page = load64(memory + M_WATCHES), address & -PAGE_SIZE
    for n in range(load64(memory + M_WATCH_COUNT)):
        if load64(table + 8 * n) == page:
            return 1
    return 0


# --- bitmaps of frames: word 0 how many words of bits, word 1 how many words of a summary (a bit for each word of bits), both follow

@compiled("void(i8,i8)")
def mark_frame(bitmap: int, frame: int) -> None:
    """By any thread."""
    words, n = bitmap + 16 + 8 * load64(bitmap + 8), frame >> 6
    fetch_or(words + 8 * n, wrap(1 << (frame & 63)))
    fetch_or(bitmap + 16 + 8 * (n >> 6), wrap(1 << (n & 63)))


@compiled("void(i8,i8)")
def unmark_frame(bitmap: int, frame: int) -> None:
    words, n = bitmap + 16 + 8 * load64(bitmap + 8), frame >> 6
    fetch_and(words + 8 * n, ~wrap(1 << (frame & 63)))
    if load64(words + 8 * n) == 0:
        fetch_and(bitmap + 16 + 8 * (n >> 6), ~wrap(1 << (n & 63)))
        if load64(words + 8 * n) != 0:              # marked by another thread meanwhile
            fetch_or(bitmap + 16 + 8 * (n >> 6), wrap(1 << (n & 63)))


@compiled("i8(i8,i8)")
def next_bit(word: int, start: int) -> int:
    """Number of the lowest bit from `start` on that is set, 64: none."""
    rest = lshr(word, start) if start < 64 else 0
    if rest == 0:
        return 64
    step = 32
    while step != 0:
        if rest & ((1 << step) - 1) == 0:
            rest = lshr(rest, step)
            start += step
        step >>= 1
    return start


@compiled("i8(i8,i8)")
def next_frame(bitmap: int, start: int) -> int:
    """The first marked frame from `start` on, -1: none."""
    summaries = load64(bitmap + 8)
    words, n = bitmap + 16 + 8 * summaries, start >> 6
    if n < load64(bitmap):
        bit = next_bit(load64(words + 8 * n), start & 63)
        if bit < 64:
            return n * 64 + bit
    n += 1
    at, bit = n >> 6, n & 63
    while at < summaries:
        found = next_bit(load64(bitmap + 16 + 8 * at), bit)
        while found < 64:
            n = at * 64 + found
            inner = next_bit(load64(words + 8 * n), 0)
            if inner < 64:
                return n * 64 + inner
            found = next_bit(load64(bitmap + 16 + 8 * at), found + 1)
        at += 1
        bit = 0
    return -1


def bitmap_words(frames: int) -> tuple[int, int]:
    """The first two words of a bitmap; their sum and 2 more are its size."""
    words = (frames + 63) // 64
    return words, (words + 63) // 64
