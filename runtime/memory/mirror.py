"""A guest's address space of which others are copies: what is mapped, unmapped and protected here is so there, too."""

from __future__ import annotations

import os
import stat

from dragoman.runtime.memory.mappings import PLAIN
from dragoman.runtime.memory.space import MAP_TYPE, AddressSpace
from dragoman.runtime.memory.window import MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MAP_SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MADV_DONTNEED, MADV_FREE = 4, 8


class MirrorError(Exception):
    """A copy cannot do what its original did."""


class MirroredSpace(AddressSpace):
    """Copies have the same areas. A file that the original shares with others each copy has as one of its own, of the same
    size: whoever keeps them alike copies its contents. So a copy never changes anything outside of itself."""

    def __init__(self, size: int | None = None) -> None:
        """Raises WindowError."""
        self.copies: list[AddressSpace] = []
        self.files: dict[tuple[int, int], tuple[int, list[int]]] = {}   # device and inode: descriptor, one of each copy
        self.keep: Callable[[int], int] = lambda fd: fd                 # puts a descriptor out of the guest's way
        super().__init__(size)

    def new_copy(self) -> AddressSpace:
        """To be called while nothing is mapped. Raises WindowError."""
        self.copies.append(AddressSpace(self.size))
        return self.copies[-1]

    def _all(self, name: str, result: int, *arguments: int) -> int:
        """Make the call that gave `result` here on each copy."""
        for copy in self.copies:
            if getattr(copy, name)(*arguments) != result:
                raise MirrorError(f"{name} gave {result:#x} once only")
        return result

    def let_go(self) -> None:
        """There are no copies any more. The descriptors stay as they are."""
        for copy in self.copies:
            copy.close()
        self.copies.clear()
        self.files.clear()

    def reset(self) -> None:
        super().reset()
        for copy in self.copies:
            copy.reset()

    def map(self, address: int, length: int, prot: int, flags: int, fd: int = -1, offset: int = 0,
            kind: int = PLAIN) -> int:
        result = super().map(address, length, prot, flags, fd, offset, kind)
        if result < 0:
            if flags & MAP_FIXED and self.table.is_free(address, address + length):     # what was there has gone
                for copy in self.copies:
                    copy.unmap(address, length)
            return result
        shared = flags & MAP_TYPE != MAP_PRIVATE
        own = self._own_files(fd, shared) if fd >= 0 else []
        if not shared and not own:
            return self._all("map", result, result, length, prot, flags & ~MAP_FIXED_NOREPLACE | MAP_FIXED, fd, offset, kind)
        flags = MAP_FIXED | (MAP_SHARED if shared else MAP_PRIVATE) | (0 if own else MAP_ANONYMOUS)
        data = os.pread(fd, length, offset) if own and not shared else b""      # parts that nobody has shared yet
        for n, copy in enumerate(self.copies):
            if data:
                os.pwrite(own[n], data, offset)
            if copy.map(result, length, prot, flags, own[n] if own else -1, offset if own else 0, kind) != result:
                raise MirrorError(f"no room for a file at {result:#x}")
        return result

    def _own_files(self, fd: int, make: bool) -> list[int]:
        """For each copy its own of the file, if there is one or is to be; none for what is no file."""
        about = os.fstat(fd)
        key = about.st_dev, about.st_ino
        if key not in self.files and make and stat.S_ISREG(about.st_mode):
            source = self.keep(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))
            self.files[key] = source, [self.keep(os.memfd_create("dragoman-copy")) for _ in self.copies]
            self.follow_sizes()
        return self.files[key][1] if key in self.files else []

    def follow_sizes(self) -> None:
        """Shared files may have grown or shrunk."""
        for source, copies in self.files.values():
            size = os.fstat(source).st_size
            for fd in copies:
                if os.fstat(fd).st_size != size:
                    os.ftruncate(fd, size)

    def unmap(self, address: int, length: int) -> int:
        return self._all("unmap", super().unmap(address, length), address, length)

    def protect(self, address: int, length: int, prot: int) -> int:
        return self._all("protect", super().protect(address, length, prot), address, length, prot)

    def remap(self, old: int, old_length: int, new_length: int, flags: int, address: int) -> int:
        result = super().remap(old, old_length, new_length, flags, address)
        return result if result < 0 else self._all("remap", result, old, old_length, new_length, flags, address)

    def advise(self, address: int, length: int, advice: int) -> int:
        """Pages that the kernel may take away at any time are taken away at once: on all sides at the same time."""
        advice = MADV_DONTNEED if advice == MADV_FREE else advice
        return self._all("advise", super().advise(address, length, advice), address, length, advice)

    def attach(self, address, length, prot, replace, attach):           # type: ignore[no-untyped-def]
        result = super().attach(address, length, prot, replace, attach)
        if result >= 0:
            self._all("map", result, result, length, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
        return result

    def detach(self, address: int) -> int:
        length = self.attached.get(address, 0)
        result = super().detach(address)
        return result if result < 0 else self._all("unmap", result, address, length)

    def brk(self, address: int) -> int:
        return self._all("brk", super().brk(address), address)

    def set_brk(self, address: int) -> None:
        super().set_brk(address)
        for copy in self.copies:
            copy.set_brk(address)
