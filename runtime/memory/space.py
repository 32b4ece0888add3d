"""The guest's mmap, munmap, mprotect, mremap, madvise and brk, on a window of host memory.

The host's mappings inside the window are the guest's, less the right to execute: guest code is translated, and the
engine is told which ranges are executable. Where the guest has nothing mapped lies a reservation without access, so
that no mapping of the host's own ever comes to lie in the window. All errors are -errno, as the kernel has them.

One lock guards table and window together. Whoever forks holds it, so a child never finds it held by a thread it lacks.
Compiled code makes the plain calls itself (process/native/memory.py), under the same lock.
"""

from __future__ import annotations

import _thread
import ctypes
import os
from _stat import S_ISREG
from zlib import crc32

from dragoman.runtime.memory.mappings import (
    GROWS,
    HEAP,
    M_BRK_NOW,
    M_BRK_START,
    M_DATA_LIMIT,
    M_LIMIT,
    M_LOCK,
    M_TOP,
    M_WATCHED,
    PLAIN,
    STACK,
    UNLIMITED,
    Area,
    Mappings,
)
from dragoman.runtime.memory.window import (
    MAP_ANONYMOUS,
    MAP_DENYWRITE,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    PAGE,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    RESERVE,
    Window,
    host_mmap,
)
from dragoman.runtime.process.linux.host import NR, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

EPERM, ENOMEM, EFAULT, EEXIST, EINVAL = 1, 12, 14, 17, 22
LOWEST = 0x1_0000                # vm.mmap_min_addr: below it is never mapped
MAP_TYPE, MAP_GROWSDOWN, MAP_32BIT, MAP_ABOVE4G = 0xF, 0x100, 0x40, 0x80
PROT_GROWSDOWN, PROT_GROWSUP = 0x0100_0000, 0x0200_0000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
EMPTYING = frozenset({4, 9})     # MADV_DONTNEED, MADV_REMOVE; MADV_FREE (8) empties at some later time, or not
BEGINNING, TRIES = 1024, 4       # bytes of a file by which it is known; places where it may lie
STACK_GAP = 1 << 20              # kept free below stacks that can grow, as the kernel's stack_guard_gap


class SpaceLock:
    """Held by whoever looks at the table or changes it, and across a fork; taken before any of the engine's. Python's threads wait
    for each other at a lock of Python's, and for compiled code at the word in the table."""

    def __init__(self, table: Mappings) -> None:
        self._gate, self._words = _thread.allocate_lock(), table.words
        self.take: Callable[[int], int] | None = None       # compiled: areas.take_table
        self._table = table.address

    def acquire(self) -> None:
        self._gate.acquire()
        if self.take is not None:
            self.take(self._table)

    def release(self) -> None:
        self._words[M_LOCK // 8] = 0
        self._gate.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _word(offset: int, text: str) -> Any:
    """A property of the address space that is a word of its table."""
    def get(self: AddressSpace) -> int:
        return self.table.words[offset // 8]

    def put(self: AddressSpace, value: int) -> None:
        self.table.words[offset // 8] = value
    return property(get, put, doc=text)


def pages(length: int) -> int:
    return (length + PAGE - 1) & -PAGE


def _is_data(area: Area, prot: int) -> bool:
    """Whether it counts for RLIMIT_DATA with this protection."""
    return bool(prot & PROT_WRITE) and not area.shared and area.kind not in (STACK, GROWS)


def host_prot(prot: int) -> int:
    """Host protection of guest pages: executable ones must be readable, for the decoder."""
    return prot & (PROT_READ | PROT_WRITE) | (PROT_READ if prot & PROT_EXEC else 0)


class AddressSpace(Window):
    """A window with the guest's mappings in it."""

    def __init__(self, size: int | None = None):
        super().__init__(size)
        self.engine: Any = None     # set_executable, clear_executable; None: nobody needs to know
        self.table = Mappings()
        self.changeable = Mappings()    # executable ranges that have been writable or shared since they are mapped
        self.lock = SpaceLock(self.table)
        self.limit = self.data_limit = UNLIMITED
        self._budget: Any = None
        self._empty()

    limit = _word(M_LIMIT, "RLIMIT_AS of the guest")
    data_limit = _word(M_DATA_LIMIT, "RLIMIT_DATA")
    top = _word(M_TOP, "where the search for room starts; below the stack once that is there")
    brk_start = _word(M_BRK_START, "where the heap begins")
    brk_now = _word(M_BRK_NOW, "and ends")

    @property
    def budget(self) -> Any:
        """limits.Budget, told of all that is writable; None: nobody counts."""
        return self._budget

    @budget.setter
    def budget(self, budget: Any) -> None:
        self._budget = budget
        self.table.words[M_WATCHED // 8] = budget is not None

    def use(self, symbols: Mapping[str, int]) -> None:
        """The engine's image is there: from now on compiled code works with the table as well."""
        self.table.use(symbols)
        self.changeable.use(symbols)
        self.lock.take = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(symbols["take_table"])

    def _empty(self) -> None:
        self.table.clear()
        self.top = self.size - PAGE
        self.brk_start = self.brk_now = 0
        self.attached: dict[int, int] = {}   # System V shared memory: address -> length
        self.changeable.clear()

    def reset(self) -> None:
        """Unmap everything, for exec."""
        with self.lock:
            self._clear(0, self.size)
            self._reserve(0, self.size)
            self._empty()

    # ---- what the engine is told

    def _clear(self, start: int, end: int) -> None:
        """Take a range out of the table."""
        if self.table.remove(start, end) & PROT_EXEC:
            self.changeable.remove(start, end)
            if self.engine is not None:
                self.engine.clear_executable(start, end)

    def _enter(self, area: Area) -> None:
        """Put an area into the table."""
        self.table.add(area)
        self._tell_shared(area)
        if area.prot & PROT_EXEC:
            self._executable(area)

    def _tell_shared(self, area: Area) -> None:
        """What another process may write to, it may also see being written."""
        if area.shared and area.prot & PROT_WRITE and self.engine is not None:
            self.engine.set_shared()

    def _executable(self, area: Area) -> None:
        if area.shared or area.prot & PROT_WRITE:
            self.changeable.remove(area.start, area.end)
            self.changeable.add(Area(area.start, area.end, 0))
        if self.engine is not None:
            self.engine.set_executable(area.start, area.end, not self.changeable.is_free(area.start, area.end))

    def code_changed(self, start: int = 0, end: int = 1 << 63) -> None:
        """The guest says so. Under the lock: what is executable is read, and must not go meanwhile."""
        with self.lock:
            self.engine.code_changed(start, end)

    def _emptied(self, start: int, end: int) -> None:
        """The pages of a range have lost what they held: a CPU would fetch the new content, without a fence."""
        if self.engine is not None:
            for area in self.table.within(start, end):
                if area.prot & PROT_EXEC:
                    self.engine.clear_executable(area.start, area.end)
                    self._executable(area)

    def _reserve(self, start: int, end: int) -> None:
        """Put the reservation back over a range, whatever is there."""
        host_mmap(self.base + start, end - start, PROT_NONE, RESERVE | MAP_FIXED)

    def _filled(self, start: int, end: int, *steps: tuple[int, ...]) -> int:
        """System calls, number and arguments, that may leave a hole in the window: the reservation is back there before another thread
        can map memory of the host's own, which would otherwise find its place inside the guest's. The last one's result."""
        steps = (*steps, (NR["mmap"], self.base + start, end - start, PROT_NONE, RESERVE | MAP_FIXED_NOREPLACE, -1, 0))
        if self.engine is None:
            return [call(*step) for step in steps][-2]
        return self.engine.host.in_turn(*steps)[-2]

    # ---- limits

    def _writable(self, start: int, end: int) -> int:
        return sum(area.end - area.start for area in self.table.within(start, end) if area.prot & PROT_WRITE)

    def _affords(self, more: int, prot: int, start: int = 0, end: int = 0) -> bool:
        """Whether so many bytes more may be mapped with this protection, in place of what lies from start to end."""
        if self.table.total + more > self.limit or self.table.is_full():
            return False
        if self.budget is None or not prot & PROT_WRITE or not more:
            return True
        return self.budget.hold(self._writable(0, self.size) - self._writable(start, end) + more)

    def _affords_data(self, more: int, start: int = 0, end: int = 0) -> bool:
        """The same for private writable memory, the stack left out (RLIMIT_DATA)."""
        if self.data_limit >= UNLIMITED or not more:
            return True
        return self._data(0, self.size) - self._data(start, end) + more <= self.data_limit

    def _data(self, start: int, end: int) -> int:
        return sum(area.end - area.start for area in self.table.within(start, end) if _is_data(area, area.prot))

    def _tell_budget(self) -> None:
        if self.budget is not None:
            self.budget.hold(self._writable(0, self.size))

    def affords_copy(self) -> bool:
        """Whether a copy of all that is writable, for a fork's child, would be within the limit."""
        return self.budget is None or self.budget.fits(self._writable(0, self.size))

    def was_copied(self) -> None:
        """In the child, under the lock: it counts from now on."""
        self._tell_budget()

    # ---- room

    def _room(self, length: int, hint: int = 0) -> int:
        """Where `length` bytes are free: at the hint, or as high as possible. -ENOMEM if nowhere."""
        hint = pages(hint)
        if hint >= LOWEST and hint + length <= self.size and self.table.is_free(hint, hint + length):
            return hint
        found = self.table.gap(length, LOWEST, self.top)
        if found is None:
            found = self.table.gap_above(length, self.top, self.size - PAGE)
        return -ENOMEM if found is None else found

    def settled(self, fd: int, length: int) -> int:
        """Where a program's file lies in all processes that have room there, so that what is kept of its code is found again whatever
        else they have mapped: anywhere in a part of the address space, by a hash of how the file begins, build id included. 0: nowhere."""
        start, size = self.size // 4 * 3, self.size // 64
        try:
            if not S_ISREG(os.fstat(fd).st_mode):
                return 0
            beginning = os.pread(fd, BEGINNING, 0)
        except OSError:
            return 0
        for again in range(TRIES if length < size else 0):
            place = start + crc32(beginning, again) * PAGE % (size - length) // PAGE * PAGE
            if self.table.is_free(place, place + length):
                return place
        return 0

    def _inside(self, address: int, length: int) -> bool:
        return address + length <= self.size

    # ---- the calls

    def map(self, address: int, length: int, prot: int, flags: int, fd: int = -1, offset: int = 0,
            kind: int = PLAIN) -> int:
        """mmap: the guest address."""
        fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)
        if not length or offset & (PAGE - 1) or (fixed and address & (PAGE - 1)):
            return -EINVAL
        length = pages(length)
        if length > self.size:
            return -ENOMEM
        with self.lock:
            replaced = (address, min(address + length, self.size)) if flags & MAP_FIXED else (0, 0)
            data = prot & PROT_WRITE and flags & MAP_TYPE == MAP_PRIVATE and not flags & MAP_GROWSDOWN and kind != STACK
            if not self._affords(length, prot, *replaced) or (data and not self._affords_data(length, *replaced)):
                return -ENOMEM
            if not fixed:
                # A loader's: exec says so, and glibc's ld.so by a flag that means nothing else any more.
                if not address and not offset and (prot & PROT_EXEC or flags & MAP_DENYWRITE) and flags & (MAP_TYPE | MAP_ANONYMOUS) == MAP_PRIVATE:
                    address = self.settled(fd, length)
                address = self._room(length, address)
                if address < 0:
                    return address
            elif not self._inside(address, length):
                return -ENOMEM
            elif address < LOWEST:
                return -EPERM
            elif flags & MAP_FIXED_NOREPLACE and not self.table.is_free(address, address + length):
                return -EEXIST
            end = address + length
            wanted = flags & ~(MAP_FIXED_NOREPLACE | MAP_GROWSDOWN | MAP_32BIT | MAP_ABOVE4G) | MAP_FIXED
            result = host_mmap(self.base + address, length, host_prot(prot), wanted, fd, offset)
            if result < 0:
                # Some failures come after the old mapping has gone: then the reservation finds room.
                if fixed and host_mmap(self.base + address, length, PROT_NONE, RESERVE | MAP_FIXED_NOREPLACE) >= 0:
                    self._clear(address, end)
                return result
            self._clear(address, end)
            if flags & MAP_GROWSDOWN and flags & MAP_ANONYMOUS and kind == PLAIN:
                kind = GROWS
                if self.engine is not None:
                    self.engine.set_precise()       # what touches memory below is executed again
            self._enter(Area(address, end, prot & 7, flags & MAP_TYPE != MAP_PRIVATE, kind))
            return address

    def grow_down(self, address: int, limit: int) -> bool:
        """Whether a mapping above that grows has come down to an address that is not mapped. limit: RLIMIT_STACK."""
        with self.lock:
            start = address & -PAGE
            area = next(iter(self.table.within(address, self.size)), None)
            if area is None or area.kind != GROWS or area.end - start > limit or start < LOWEST:
                return False
            below = self.table.within(max(0, start - STACK_GAP), start)
            if (any(other.prot for other in below) or self.table.total + area.start - start > self.limit
                    or host_mmap(self.base + start, area.start - start, host_prot(area.prot), MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) < 0):
                return False
            self._enter(Area(start, area.start, area.prot, False, GROWS))
            return True

    def unmap(self, address: int, length: int) -> int:
        length = pages(length)
        if address & (PAGE - 1) or not length or not self._inside(address, length):
            return -EINVAL
        with self.lock:
            if self.table.is_full():
                return -ENOMEM
            self._unmap(address, address + length)
            self._tell_budget()
            return 0

    def _unmap(self, start: int, end: int) -> None:
        if not self.table.is_free(start, end):
            self._clear(start, end)
            self._reserve(start, end)

    def protect(self, address: int, length: int, prot: int) -> int:
        """mprotect. As the kernel does, it changes what lies before a hole and then says ENOMEM."""
        grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
        prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP)
        if address & (PAGE - 1) or grows == PROT_GROWSDOWN | PROT_GROWSUP or prot & ~0xF:
            return -EINVAL
        length = pages(length)
        if not length:
            return 0
        if not self._inside(address, length):
            return -ENOMEM
        with self.lock:
            end = address + length
            if grows:
                area = self.table.find(address)
                if area is None:
                    return -ENOMEM
                address, end = (area.start, end) if grows == PROT_GROWSDOWN else (address, area.end)
            reach = self.table.covered_to(address, end)
            if self.table.is_full():
                return -ENOMEM
            if self.budget is not None and prot & PROT_WRITE and not self._affords(reach - address, prot, address, reach):
                return -ENOMEM
            if self.data_limit < UNLIMITED and prot & PROT_WRITE and not self._affords_data(sum(
                    area.end - area.start for area in self.table.within(address, reach)
                    if not area.prot & PROT_WRITE and _is_data(area, prot))):
                return -ENOMEM
            if reach > address:
                result = call(NR["mprotect"], self.base + address, reach - address, host_prot(prot))
                if result < 0:
                    return result
                before = self.table.within(address, reach)
                self.table.remove(address, reach)
                for old in before:
                    self._protected(old, prot & 7)
            return 0 if reach == end else -ENOMEM

    def _protected(self, old: Area, prot: int) -> None:
        new = Area(old.start, old.end, prot, old.shared, old.kind)
        self.table.add(new)
        self._tell_shared(new)
        if prot & PROT_EXEC:
            if not old.prot & PROT_EXEC or prot & PROT_WRITE != old.prot & PROT_WRITE:
                self._executable(new)
        elif old.prot & PROT_EXEC:
            self.changeable.remove(old.start, old.end)
            if self.engine is not None:
                self.engine.clear_executable(old.start, old.end)

    def remap(self, old: int, old_length: int, new_length: int, flags: int, address: int) -> int:
        """mremap: the new guest address."""
        old_length, new_length = pages(old_length), pages(new_length)
        if (flags & ~7 or old & (PAGE - 1) or not new_length
                or (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not flags & MREMAP_MAYMOVE)
                or (flags & MREMAP_DONTUNMAP and old_length != new_length)):
            return -EINVAL
        if not self._inside(old, old_length):
            return -EFAULT
        with self.lock:
            area = self.table.find(old)
            if area is None:
                return -EFAULT
            if new_length < old_length and not flags & MREMAP_FIXED:    # the only case that may span several areas
                self._unmap(old + new_length, old + old_length)
                return old
            if area.end < old + old_length:
                return -EFAULT
            more = max(0, new_length - old_length)
            if not self._affords(more, area.prot) or (_is_data(area, area.prot) and not self._affords_data(more)):
                return -ENOMEM
            if flags & MREMAP_FIXED:
                if address & (PAGE - 1) or (address < old + old_length and old < address + new_length):
                    return -EINVAL
                if not self._inside(address, new_length) or address < LOWEST:
                    return -EINVAL
                self._unmap(address, address + new_length)
                return self._move(area, old, old_length, new_length, address, flags)
            if old_length and not flags & MREMAP_DONTUNMAP:
                if new_length == old_length:
                    return old
                result = self._grow(area, old, old_length, new_length)
                if result >= 0 or not flags & MREMAP_MAYMOVE:
                    return result
            address = self._room(new_length)
            return address if address < 0 else self._move(area, old, old_length, new_length, address, flags)

    def _grow(self, area: Area, old: int, old_length: int, new_length: int) -> int:
        start, end = old + old_length, old + new_length
        if not self._inside(old, new_length) or not self.table.is_free(start, end):
            return -ENOMEM
        result = self._filled(start, end, (NR["munmap"], self.base + start, end - start),
                              (NR["mremap"], self.base + old, old_length, new_length, 0, 0))
        if result < 0:
            return -ENOMEM
        self._enter(Area(start, end, area.prot, area.shared, area.kind))
        return old

    def _move(self, area: Area, old: int, old_length: int, new_length: int, address: int, flags: int) -> int:
        both = MREMAP_MAYMOVE | MREMAP_FIXED | flags & MREMAP_DONTUNMAP
        step = NR["mremap"], self.base + old, old_length, new_length, both, self.base + address
        moves = old_length and not flags & MREMAP_DONTUNMAP
        result = self._filled(old, old + old_length, step) if moves else self._filled(address, address + new_length, step)
        if result < 0:
            if moves:                   # what was at the new place may be gone
                host_mmap(self.base + address, new_length, PROT_NONE, RESERVE | MAP_FIXED_NOREPLACE)
            return result
        if moves:
            self._clear(old, old + old_length)
        elif old_length:                # the old pages stay, empty
            self._emptied(old, old + old_length)
        self._enter(Area(address, address + new_length, area.prot, area.shared, PLAIN))
        return address

    def advise(self, address: int, length: int, advice: int) -> int:
        """madvise."""
        length = pages(length)
        if address & (PAGE - 1) or not self._inside(address, length):
            return -EINVAL
        if not length:
            return call(NR["madvise"], self.base, 0, advice)
        with self.lock:
            end, hole = address + length, False
            while address < end:   # the kernel goes on behind a hole, and reports it
                reach = self.table.covered_to(address, end)
                if reach > address:
                    result = call(NR["madvise"], self.base + address, reach - address, advice)
                    if result < 0:
                        return result
                    if advice in EMPTYING:
                        self._emptied(address, reach)
                if reach < end:
                    hole = True
                    rest = self.table.within(reach, end)
                    reach = rest[0].start if rest else end
                address = reach
            return -ENOMEM if hole else 0

    def remap_file_pages(self, address: int, length: int, page: int, flags: int) -> int:
        """remap_file_pages: other pages of the file that is mapped there, shared, into a part of its mapping."""
        address, length = address & -PAGE, length & -PAGE
        if not self._inside(address, length):
            return -EINVAL
        with self.lock:
            result = call(NR["remap_file_pages"], self.base + address, length, 0, page, flags)
            if result >= 0:
                self._emptied(address, address + length)
            return result

    def attach(self, address: int, length: int, prot: int, replace: bool, attach: Callable[[int], int]) -> int:
        """shmat: `attach` is given a host address and maps there; the guest address, or -errno."""
        length = pages(length)
        with self.lock:
            if not address:
                address = self._room(length)
                if address < 0:
                    return address
            elif (not self._inside(address, length) or address < LOWEST
                    or not (replace or self.table.is_free(address, address + length))):
                return -EINVAL
            result = attach(self.base + address)
            if result < 0:
                return result
            self._clear(address, address + length)
            self._enter(Area(address, address + length, prot, True))
            self.attached[address] = length
            return address

    def detach(self, address: int) -> int:
        """shmdt."""
        with self.lock:
            length = self.attached.get(address)
            if length is None:
                return -EINVAL
            result = self._filled(address, address + length, (NR["shmdt"], self.base + address))
            if result >= 0:
                del self.attached[address]
                self._clear(address, address + length)
            return result

    def area_at(self, address: int) -> Area | None:
        """The area there. Not in the midst of a change, where another thread's mprotect has taken out what it will put back."""
        with self.lock:
            return self.table.find(address)

    def is_mapped(self, address: int, length: int) -> bool:
        """Whether a range, made whole pages, has no hole."""
        start, end = address & -PAGE, pages(address + length)
        with self.lock:
            return end <= self.size and self.table.covered_to(start, end) == end

    def brk(self, address: int) -> int:
        """brk: where it is now; unchanged if the wish cannot be met."""
        with self.lock:
            old, new = pages(self.brk_now), pages(address)
            if self.brk_start <= address and self._inside(0, new):
                if new > old:
                    if (not self.table.is_free(old, new + PAGE) or not self._affords(new - old, PROT_WRITE)
                            or not self._affords_data(new - old) or host_mmap(self.base + old, new - old, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) < 0):
                        return self.brk_now
                    self._enter(Area(old, new, PROT_READ | PROT_WRITE, False, HEAP))
                elif new < old:
                    self._unmap(new, old)
                self.brk_now = address
            return self.brk_now

    def set_brk(self, address: int) -> None:
        """Where the heap begins: behind the program."""
        self.brk_start = self.brk_now = pages(address)

    def snapshot(self) -> list[Area]:
        """All areas, for /proc/self/maps."""
        with self.lock:
            return self.table.areas[:]
