"""One guest thread's CPU: its state block, which is also the host signal stack, and the way into native code."""

from __future__ import annotations

import ctypes
import mmap

from dragoman.dbt.host.calls import HostCalls
from dragoman.dbt.state import CACHE, EXITS, OFFSET, RECORD_PC, STATE_BLOCK, STATE_SIZE, F, X

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_FAULT = EXITS["fault"]
NEVER = (1 << 63) - 1
MXCSR_FLAGS, MXCSR_DEFAULT, MXCSR_ROUNDING = 0x3F, 0x1F80, 0x6000      # default: all exceptions masked
ROUNDING_OF_MODE = (0x0000, 0x6000, 0x2000, 0x4000)                    # rne, rtz, rdn, rup
FLAG_BITS = ((0x10, 0x01), (0x08, 0x04), (0x04, 0x08), (0x02, 0x10), (0x01, 0x20))     # guest's, MXCSR's
GUEST_FLAGS = tuple(sum(guest for guest, bit in FLAG_BITS if host & bit) for host in range(MXCSR_FLAGS + 1))
HOST_FLAGS = tuple(sum(bit for guest, bit in FLAG_BITS if value & guest) for value in range(32))
FIRST, WHOLE, FLOATS = X + 8, 31 * 8, 32 * 8        # x1..x31, f0..f31 in the state: where, bytes
SITE_SIZE = 16

_libc = ctypes.CDLL(None, use_errno=True)


def _word(name: str, text: str) -> property:
    index = OFFSET[name] // 8

    def get(self: Cpu) -> int:
        return self.words[index]

    def put(self: Cpu, value: int) -> None:
        self.words[index] = value
    return property(get, put, doc=text)


class Cpu:
    """Registers and engine fields of a thread that is not running native code. Made by Engine.cpu."""

    pc = _word("pc", "where to go on, or where it stopped")
    exit_reason = _word("exit_reason", "why native code was left: a number from EXITS")
    exit_data = _word("exit_data", "fault: the guest address; misaligned: the address; see the recipes for others")
    host_pc = _word("host_pc", "of a fault")
    record = _word("record", "interpreter: address of the decoded record in work")
    pending = _word("pending", "bits of host signals that were noted")
    fault_error = _word("scratch1", "after a fault: the host's page-fault error code, bit 1 for a write")
    in_resolve = _word("in_resolve", "1 while this thread holds the code cache's lock")
    reservation = _word("reservation", "lr/sc: the address, or -1")
    reserved_value = _word("reserved_value", "lr/sc: the value that was there")
    instructions = _word("instructions", "executed, in the counting build")
    cache = _word("cache", "address of the code cache's control block")
    jump_cache = _word("jump_cache", "address of this thread's jump cache")
    memory_base = _word("memory_base", "host address of guest address 0")
    resolve = _word("resolve", "see state.py")
    on_poll = _word("on_poll", "see state.py")
    budget_reset = _word("budget_reset", "what the budget is set to after a poll")
    direct_table = _word("user0", "address of the system calls that native code makes (calls.DirectTable), or 0")
    in_call = _word("user1", "1 while native code makes a system call: the thread does not touch the code cache then")
    careful = _word("careful", "see state.py")
    precise = _word("precise", "1: registers must be exact at faults")
    report = _word("report", "memory for the log's reports of translations, or 0")
    hook = _word("hook", "see state.py")
    deadline = _word("deadline", "see state.py")
    request = _word("request", "bits of what others ask of this thread")
    access = _word("access", "of exit memory: bytes, and ACCESS_WRITE")

    def __init__(self, host: HostCalls, region_pc: Callable[[int], tuple[int, bool]] | None = None) -> None:
        """`region_pc` gives the guest pc of a host pc in a compiled region, and whether that is LAZY (region_request.py)."""
        self._block = mmap.mmap(-1, STATE_BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.words = (ctypes.c_uint64 * (STATE_SIZE // 8)).from_buffer(self._block)
        self.address = ctypes.addressof(self.words)
        self.x = (ctypes.c_uint64 * 33).from_address(self.address + X)
        self.f = (ctypes.c_uint64 * 32).from_address(self.address + F)
        self._budget = ctypes.c_int32.from_address(self.address + OFFSET["budget"])
        self._mxcsr = ctypes.c_uint32.from_address(self.address + OFFSET["mxcsr"])
        self._enter = host.enter
        self._region_pc = region_pc
        self._mxcsr.value = MXCSR_DEFAULT
        self.reservation = (1 << 64) - 1
        self.deadline = NEVER
        self.behind = False             # after a fault in a LAZY region: pc and registers are those of an instruction before
        self.fault_at = 0               # and the one that faulted is here

    def attach(self) -> None:
        """Make it the calling host thread's. Signals for guests must be blocked until then."""
        stack = (ctypes.c_uint64 * 3)(self.address, 0, STATE_BLOCK)
        if _libc.sigaltstack(stack, None):
            raise OSError(ctypes.get_errno(), "sigaltstack")

    def detach(self) -> None:
        """The calling host thread has no CPU any more; its memory may go. Signals must be blocked."""
        stack = (ctypes.c_uint64 * 3)(0, 2, 0)                         # SS_DISABLE
        if _libc.sigaltstack(stack, None):
            raise OSError(ctypes.get_errno(), "sigaltstack")

    def run(self) -> int:
        """Native code from `pc` on, without the GIL, until it leaves; returns why (EXITS). `pc` is exact then, or the CPU is `behind`."""
        self._enter(self.address)
        reason = self.exit_reason
        if reason == EXIT_FAULT:
            stored, self.behind = self.pc, False
            fault = self.fault_pc()
            if self.behind:
                self.fault_at, fault = fault, stored
            self.pc = fault
        return reason

    def fault_pc(self) -> int:
        """Guest pc of the instruction at whose host code (`host_pc`) a fault was."""
        host_pc = self.host_pc
        control = (ctypes.c_uint64 * (max(CACHE.values()) // 8 + 1)).from_address(self.cache)

        def field(name: str) -> int:
            return control[CACHE[name] // 8]
        if field("stencil_start") <= host_pc < field("stencil_end"):
            low, high = 0, field("site_count")          # read once: other threads translate meanwhile
            sites = (ctypes.c_uint64 * (high * SITE_SIZE // 8)).from_address(field("sites"))
            while low < high:
                middle = (low + high) >> 1
                if sites[2 * middle] <= host_pc:
                    low = middle + 1
                else:
                    high = middle
            return sites[2 * (low - 1) + 1]
        if self._region_pc is not None and field("region_start") <= host_pc < field("region_end"):
            pc, self.behind = self._region_pc(host_pc)
            return pc
        return ctypes.c_uint64.from_address(self.record + RECORD_PC).value

    def bytes_at(self, offset: int, size: int) -> bytes:
        """A copy of a part of the state: SIGINFO and its like."""
        return ctypes.string_at(self.address + offset, size)

    def registers(self) -> tuple[bytes, bytes]:
        """x1 to x31 and f0 to f31, 8 bytes each."""
        return ctypes.string_at(self.address + FIRST, WHOLE), ctypes.string_at(self.address + F, FLOATS)

    def set_registers(self, whole: bytes, floats: bytes) -> None:
        """What `registers` gives."""
        assert len(whole) == WHOLE and len(floats) == FLOATS
        ctypes.memmove(self.address + FIRST, whole, WHOLE)
        ctypes.memmove(self.address + F, floats, FLOATS)

    def copy_registers(self, other: Cpu) -> None:
        """All that clone hands on: registers, rounding mode and flags."""
        ctypes.memmove(self.address + X, other.address + X, F + 8 * 32 - X)
        self.pc, self._mxcsr.value = other.pc, other._mxcsr.value
        self.words[OFFSET["frm"] // 8] = other.frm

    def reset_registers(self) -> None:
        """As at the start of a program."""
        ctypes.memset(self.address + X, 0, F + 8 * 32 - X)
        self._mxcsr.value, self.words[OFFSET["frm"] // 8] = MXCSR_DEFAULT, 0
        self.reservation = (1 << 64) - 1

    @property
    def budget(self) -> int:
        return self._budget.value

    @budget.setter
    def budget(self, value: int) -> None:
        self._budget.value = value

    @property
    def fflags(self) -> int:
        """Accrued exceptions in IEEE order: invalid 16, divide 8, overflow 4, underflow 2, inexact 1."""
        return GUEST_FLAGS[self._mxcsr.value & MXCSR_FLAGS]

    @fflags.setter
    def fflags(self, value: int) -> None:
        self._mxcsr.value = self._mxcsr.value & ~MXCSR_FLAGS | HOST_FLAGS[value & 31]

    @property
    def frm(self) -> int:
        """Dynamic rounding mode, 0..7. From 4 on the host has none, and the oracle executes."""
        return self.words[OFFSET["frm"] // 8]

    @frm.setter
    def frm(self, value: int) -> None:
        self.words[OFFSET["frm"] // 8] = value & 7
        if value & 7 < 4:
            self._mxcsr.value = self._mxcsr.value & ~MXCSR_ROUNDING | ROUNDING_OF_MODE[value & 7]

    @property
    def fcsr(self) -> int:
        return self.frm << 5 | self.fflags

    @fcsr.setter
    def fcsr(self, value: int) -> None:
        self.frm, self.fflags = value >> 5 & 7, value & 31
