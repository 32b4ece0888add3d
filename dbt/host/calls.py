"""The native routines of the host as Python functions, and host signal actions set by the bare system call.

libc's sigaction refuses signals 32 and 33, which a guest's libc needs; so the system call is made here.
"""

from __future__ import annotations

import ctypes

from dragoman.dbt.host.x86_64 import DIRECT_COUNT, DIRECT_HEADER, GLOBAL, NEVER_BLOCKED, RT_SIGACTION, RT_SIGPROCMASK, SIG_SETMASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART = 0x4, 0x400_0000, 0x800_0000, 0x1000_0000
SIG_DFL, SIG_IGN = 0, 1
SET_SIZE = 8                                    # of the kernel's sigset_t

_Words = ctypes.c_uint64 * 7
_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)                           # releases the GIL
_CALL_HELD = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_SAFE_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_SAFE_CALL_HELD = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)


def clock_address() -> int:
    """Of libc's clock_gettime(clock, timespec)."""
    return ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value or 0


class DirectTable:
    """System calls that native code makes without Python: see x86_64.DIRECT_TABLE. Shared by a process's threads."""

    def __init__(self, window: int, registers: tuple[int, ...], length: int, rows: Mapping[int, int]) -> None:
        """window: bytes of guest memory; registers: offsets in the state of number, result and six arguments; length of
        the instruction; rows: guest number -> entry."""
        count = max(rows, default=-1) + 1
        self._words = (ctypes.c_uint64 * (DIRECT_HEADER // 8 + (count + 1) // 2))(window, 0, count, length, *registers)
        self.address = ctypes.addressof(self._words)
        entries = (ctypes.c_uint32 * count).from_address(self.address + DIRECT_HEADER)
        for number, entry in rows.items():
            entries[number] = entry

    def leave_out(self, number: int) -> None:
        """This call of the guest's comes to Python from now on."""
        ctypes.c_uint32.from_address(self.address + DIRECT_HEADER + 4 * number).value = 0

    @property
    def count(self) -> int:
        """Calls made so far."""
        return self._words[DIRECT_COUNT // 8]


class Frame:
    """Number and arguments of a system call as the stubs take them; must live as long as the call."""

    def __init__(self, *words: int) -> None:
        self.words = _Words(*words)
        self.address = ctypes.addressof(self.words)


class HostCalls:
    """Entry, stubs and handlers at their addresses: `symbols` has x86_64.GLOBAL."""

    def __init__(self, symbols: Mapping[str, int]) -> None:
        self.symbols = {name: symbols[name] for name in GLOBAL}
        self.enter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(symbols["enter"])
        self.safe_call = _SAFE_CALL(symbols["safe_call"])               # (state, frame) -> result or NOT_MADE
        self._quick_safe_call = _SAFE_CALL_HELD(symbols["safe_call"])   # the same for a call that never waits
        self.plain_call = _CALL(symbols["plain_call"])                  # (frame) -> result
        self.take_pending = _CALL_HELD(symbols["take_pending"])         # (state) -> bits of noted signals
        # FNV-1a of bytes, as the code cache takes it of guest memory
        self.hash = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, ctypes.c_size_t)(symbols["guest_hash"])
        self.detach = _CALL_HELD(symbols["detach"])                     # (steps) -> process that is gone soon, or -errno
        self._in_turn = _CALL_HELD(symbols["in_turn"])
        self.quick_call = _CALL_HELD(symbols["plain_call"])             # the same for a call that never waits
        self._mask = ctypes.c_uint64()
        self._mask_frame = Frame(RT_SIGPROCMASK, SIG_SETMASK, ctypes.addressof(self._mask), 0, SET_SIZE)

    def action(self, number: int) -> tuple[int, int, int]:
        """Handler, flags and mask that the host has for a signal."""
        old = (ctypes.c_uint64 * 4)()
        frame = Frame(RT_SIGACTION, number, 0, ctypes.addressof(old), SET_SIZE)
        result = self.quick_call(frame.address)
        if result < 0:
            raise OSError(-result, f"sigaction of {number}")
        return old[0], old[1], old[3]

    def set_action(self, number: int, handler: int | str, flags: int = 0) -> None:
        """`handler`: "on_signal" or "on_fault" (then flags may be SA_RESTART and the like), SIG_DFL or SIG_IGN."""
        if isinstance(handler, str):
            flags |= SA_SIGINFO | SA_ONSTACK
            handler = self.symbols[handler]
        mask = ~NEVER_BLOCKED if handler > SIG_IGN else 0
        new = (ctypes.c_uint64 * 4)(handler, flags | SA_RESTORER, self.symbols["restore"], mask & (1 << 64) - 1)
        frame = Frame(RT_SIGACTION, number, ctypes.addressof(new), 0, SET_SIZE)
        result = self.quick_call(frame.address)
        if result < 0:
            raise OSError(-result, f"sigaction of {number}")

    def in_turn(self, *steps: tuple[int, ...]) -> list[int]:
        """System calls, number and arguments, between which no other thread runs Python; their results."""
        width = len(_Words())
        words = (ctypes.c_uint64 * (width * len(steps) + 1))()
        for n, step in enumerate(steps):
            words[n * width:n * width + len(step)] = [word & (1 << 64) - 1 for word in step]
        words[width * len(steps)] = (1 << 64) - 1
        self._in_turn(ctypes.addressof(words))
        return [words[n * width] - (words[n * width] >> 63 << 64) for n in range(len(steps))]

    def mask(self) -> int:
        """The calling thread's blocked signals."""
        old = ctypes.c_uint64()
        frame = Frame(RT_SIGPROCMASK, SIG_SETMASK, 0, ctypes.addressof(old), SET_SIZE)
        self.quick_call(frame.address)
        return old.value

    def block_all(self) -> None:
        """The calling host thread has no guest thread: whatever is sent goes to others or waits."""
        self._set_mask((1 << 64) - 1)

    def set_mask(self, mask: int) -> None:
        """The calling thread's blocked signals; those that guest code's faults raise are never among them."""
        self._set_mask(mask & ~NEVER_BLOCKED)

    def set_mask_unless_noted(self, state: int, mask: int) -> None:
        """The same, unless a signal is noted in this thread's state: then all stay blocked until it is taken. A second one with
        its number would be lost."""
        new = ctypes.c_uint64(mask & ~NEVER_BLOCKED)
        frame = Frame(RT_SIGPROCMASK, SIG_SETMASK, ctypes.addressof(new), 0, SET_SIZE)
        self._quick_safe_call(state, frame.address)

    def _set_mask(self, mask: int) -> None:
        # One for all threads: it is filled and used under the GIL.
        self._mask.value = mask
        self.quick_call(self._mask_frame.address)
