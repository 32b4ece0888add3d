"""One instruction of a virtual CPU that is executed here and not in native code: an access to a device, or what the oracle does."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from dragoman.dbt import emulate, listing, oracle
from dragoman.dbt.plain_access import plain_access
from dragoman.dbt.state import ACCESS_WRITE, EXITS, PAGE_SIZE
from dragoman.runtime.machine.bus import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.machine.vcpu import Vcpu

MASK = (1 << 64) - 1
MANY = 4096
PARCEL = 2                                  # bytes that code is fetched in
STEPS = 64                                  # of the oracle between two looks for interrupts


class Refused(oracle.GuestFault):
    """An access that is the guest's fault: the hook delivers it."""


class Access(NamedTuple):
    """A load or store: bytes, kind, register. Of 0 bytes: something else, for the oracle."""

    size: int
    write: bool
    signed: bool
    register: int


NO_ACCESS = Access(0, False, False, 0)


class VirtualMemory:
    """Memory as the instruction at pc sees it, byte ranges of RAM and devices alike; for the oracle."""

    def __init__(self, vcpu: Vcpu) -> None:
        self.vcpu = vcpu
        self.seen: Callable[[int, int, bool], None] | None = None       # told of each access: address, size, whether it wrote

    def load(self, address: int, size: int) -> int:
        machine = self.vcpu.machine
        value = shift = 0
        for physical, count in self.parts(address, size, 0):
            value |= machine.read_physical(physical, count) << shift
            shift += 8 * count
        if self.seen is not None:
            self.seen(address, size, False)
        return value

    def store(self, address: int, size: int, value: int) -> None:
        parts = self.parts(address, size, ACCESS_WRITE)
        for physical, count in parts:
            self.vcpu.machine.write_physical(physical, count, value & (1 << 8 * count) - 1)
            value >>= 8 * count
        if self.seen is not None:
            self.seen(address, size, True)

    def parts(self, address: int, size: int, write: int) -> list[tuple[int, int]]:
        """(physical address, bytes) for each page. Raises Refused."""
        self.vcpu.cpu.exit_data, self.vcpu.cpu.access = address, size | write
        found = []
        while size:
            count = min(size, PAGE_SIZE - (address & PAGE_SIZE - 1))
            found.append((self.vcpu.translate(address, count | write), count))
            address, size = address + count & MASK, size - count
        return found


class Instructions:
    """The instruction at a virtual CPU's pc, in its own thread."""

    def __init__(self, vcpu: Vcpu) -> None:
        self.vcpu = vcpu
        self._records: dict[tuple[bytes, int], listing.Record] = {}     # decoded, of those that the oracle executes
        self._accesses: dict[bytes, Access] = {}        # to devices, by the instruction's bytes

    def access_device(self) -> None:
        """One instruction that accesses a device; by the oracle, if it is no plain load or store, or crosses a page."""
        vcpu = self.vcpu
        if vcpu.control is not None and vcpu.memory.seen is not None:
            vcpu.control.stepper.step()
            return
        cpu, code, address = vcpu.cpu, self._code(), vcpu.cpu.exit_data
        access = self._accesses.get(code) or self._access(code)
        if access.size == 0 or (address & PAGE_SIZE - 1) + access.size > PAGE_SIZE:
            self.step()
            return
        try:
            physical = vcpu.translate(address, access.size | ACCESS_WRITE * access.write)
            if access.write:
                vcpu.machine.write_physical(physical, access.size, cpu.x[access.register] & (1 << 8 * access.size) - 1)
            else:
                value = vcpu.machine.read_physical(physical, access.size)
                cpu.x[access.register] = oracle.signed(value, 8 * access.size) & MASK if access.signed else value
        except Refused as refused:
            vcpu.refuse(refused.address)
        except BusError:
            vcpu.access_fault(address, access.write)
        else:
            cpu.pc += len(code)

    def _access(self, code: bytes) -> Access:
        """What an instruction does that was met for the first time."""
        record = self._decoded()
        plain = plain_access(emulate.meaning(record)[0]) if record is not None else None
        if record is None or plain is None:
            return NO_ACCESS
        if len(self._accesses) > MANY:
            self._accesses.clear()
        register = getattr(record, plain.source if plain.write else "rd")
        access = self._accesses[code] = Access(plain.size, plain.write, plain.signed, register)
        return access

    def step(self, record: listing.Record | None = None) -> oracle.Outcome | None:
        """The instruction at pc, decoded or not, by the oracle; None if it has trapped."""
        vcpu = self.vcpu
        cpu, record = vcpu.cpu, record or self._decoded()
        if record is None:
            cpu.exit_reason, cpu.exit_data = EXITS["fetch"], cpu.pc
            vcpu.call_hook()
            return None
        try:
            outcome = emulate.step(cpu, vcpu.memory, record)
        except Refused as fault:
            vcpu.refuse(fault.address)
            return None
        except BusError:
            vcpu.access_fault(cpu.exit_data, bool(cpu.access & ACCESS_WRITE))
            return None
        if outcome.reason == "illegal":                 # or what only machines have: the hook knows
            outcome = outcome._replace(reason="system", value=int.from_bytes(self._code(), "little"))
        if outcome.reason is not None:
            cpu.exit_reason, cpu.exit_data = EXITS[outcome.reason], outcome.value
            vcpu.call_hook()
            return None
        return outcome

    def _decoded(self) -> listing.Record | None:
        """The instruction at pc; None: it cannot be fetched."""
        vcpu = self.vcpu
        pc, code = vcpu.cpu.pc, self._code()
        if not code:
            return None
        known = self._records.get((code, pc))
        if known is None:
            if len(self._records) > MANY:
                self._records.clear()
            known = self._records[code, pc] = listing.decode(code, pc, level=vcpu.machine.options.cpu)
        return known

    def _code(self) -> bytes:
        """The bytes of the instruction at pc, which may lie on two pages; none: it cannot be fetched."""
        pc = self.vcpu.cpu.pc
        if pc & PAGE_SIZE - 1 <= PAGE_SIZE - 2 * PARCEL:
            code = self._fetch(pc, 2 * PARCEL)
            return code if not code or code[0] & 3 == 3 else code[:PARCEL]
        code = self._fetch(pc, PARCEL)
        if code and code[0] & 3 == 3:
            rest = self._fetch(pc + PARCEL & MASK, PARCEL)
            return code + rest if rest else b""
        return code

    def _fetch(self, pc: int, size: int) -> bytes:
        """Bytes of one page; none where they cannot be fetched."""
        host = self.vcpu.native.fetch_code(self.vcpu.cpu.address, oracle.signed(pc, 64))
        return ctypes.string_at(host, size) if host else b""

    def emulate(self) -> None:
        """An instruction that rounds in a way that the host lacks; or all of them, for as long as they are to round so."""
        vcpu, steps = self.vcpu, 0
        while not (vcpu.machine.ended or vcpu.machine.paused or vcpu.cpu.request):
            self.step()
            if steps and vcpu.machine.options.count:    # the first one was counted before it was left to the oracle
                vcpu.cpu.instructions += 1
            if not vcpu.rounds_as_no_host():
                return
            steps += 1
            if steps % STEPS == 0:                      # interrupts
                if vcpu.machine.rounds is not None:
                    return
                vcpu.cpu.exit_reason = EXITS["poll"]
                vcpu.call_hook()

