"""A short guest program, the state it starts from, and how it ended: on an engine, on the oracle, on Unicorn."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import unicorn
from unicorn import riscv_const

from dragoman.dbt import emulate, listing, oracle
from dragoman.dbt.isa.riscv import REGISTER_NAMES
from dragoman.dbt.isa.riscv.csr import FIRST_MODE_HOSTS_LACK
from dragoman.dbt.state import FAULT_INFO, OFFSET
from tests.engines import region_plan
from tests.engines.guest import EBREAK, PAGE, READ, REGISTERS, Guest, RegionGuest, memory

CODE, CODE_SIZE, DATA, DATA_SIZE = 0x4_0000, 2 * PAGE, 0x8_0000, 2 * PAGE
NO_RESERVATION = (1 << 64) - 1
STEPS = 5000
SI_CODE, SI_KERNEL = 8, 0x80            # of siginfo_t: a general protection fault


@dataclass(frozen=True, repr=False)
class Program:
    """Code at `at`, a breakpoint behind it; registers that it starts with, and the seed of its data. `computed`: where its
    computed jumps go. `whole`: a region is to be of all of it, entered at its start."""
    code: bytes
    x: Sequence[int]
    f: Sequence[int] = (0,) * 32
    seed: int = 0
    frm: int = 0
    at: int = CODE
    computed: frozenset[int] = frozenset()
    whole: bool = False

    def __repr__(self) -> str:
        return f"Program({self.code.hex()}, seed={self.seed})"

    def _repr_pretty_(self, printer, cycle: bool) -> None:     # type: ignore[no-untyped-def]
        printer.text(repr(self))                # hypothesis would print all fields

    @property
    def data(self) -> bytes:
        return random.Random(self.seed).randbytes(DATA_SIZE)

    def listing(self) -> str:
        lines, offset = [], 0
        while offset < len(self.code):
            record = listing.decode(self.code[offset:offset + 4], self.at + offset)
            word = self.code[offset:offset + record.length]
            lines.append(f"  {self.at + offset:x}: {word[::-1].hex():8} {listing.disassemble(word, self.at + offset)}")
            offset += record.length
        return "\n".join(lines)


@dataclass
class Result:
    """The whole state after a run. value: of a fault (the address) or a misaligned access."""
    x: list[int]
    f: list[int]
    frm: int
    flags: int
    reservation: int
    data: bytes
    pc: int
    reason: str
    value: int = 0
    notes: str = field(default="", compare=False)

    def differences(self, other: Result) -> list[str]:
        names = {"x": REGISTER_NAMES["x"], "f": REGISTER_NAMES["f"]}
        lines = [f"{names[file][n]} (x{n})" + f": {a:#x}, not {b:#x}" for file in ("x", "f")
                 for n, (a, b) in enumerate(zip(getattr(self, file), getattr(other, file), strict=True)) if a != b]
        lines += [f"{name}: {a if isinstance(a, str) else hex(a)}, not {b if isinstance(b, str) else hex(b)}"
                  for name in ("frm", "flags", "reservation", "pc", "reason", "value")
                  if (a := getattr(self, name)) != (b := getattr(other, name))]
        lines += [f"memory {DATA + n:#x}: {a:#04x}, not {b:#04x}"
                  for n, (a, b) in enumerate(zip(self.data, other.data, strict=True)) if a != b][:16]
        return lines


def is_canonical(address: int) -> bool:
    """Whether x86-64 (with 48 bits) takes it for an address of programs or of the kernel."""
    return address >> 47 in (0, (1 << 17) - 1)


def check(program: Program, name: str, result: Result, other_name: str, other: Result) -> None:
    """Fails with all that is needed to see why: listing, start, both ends. Of a fault in a region that is not precise only
    the pc and the address are exact; the address only if the host says it, which it does not for those of its own that are not canonical."""
    if result == other:
        return
    if name in ("region-fast", "region-shared") and other.reason == "fault" and (
            (result.pc, result.reason) == (other.pc, other.reason)) and (
            result.value == other.value or not is_canonical(memory().base + other.value & (1 << 64) - 1)):
        return
    start = [f"{n}={value:#x}" for n, value in zip(REGISTER_NAMES["x"], program.x, strict=True) if value]
    floats = [f"{n}={value:#x}" for n, value in zip(REGISTER_NAMES["f"], program.f, strict=True) if value]
    raise AssertionError("\n".join([
        f"{name} against {other_name}:", *("  " + line for line in result.differences(other)),
        "program:", program.listing(), f"start: frm={program.frm} {' '.join(start)}", f"  {' '.join(floats)}",
        f"data: random.Random({program.seed}).randbytes({DATA_SIZE:#x})", *(r.notes for r in (result, other) if r.notes)]))


def run(guest: Guest, program: Program) -> Result:
    """On an engine. Its memory: pages for code and data, nothing else."""
    memory, cpu, end = guest.memory, guest.cpu, program.at + CODE_SIZE
    guest.attach()
    guest.engine.clear_executable(program.at, end)
    memory.protect(program.at, CODE_SIZE)
    memory.protect(DATA, DATA_SIZE)
    memory.write(program.at, (program.code + struct.pack("<I", EBREAK)).ljust(CODE_SIZE, b"\0"))
    memory.protect(program.at, CODE_SIZE, READ)
    memory.write(DATA, program.data)
    guest.engine.set_executable(program.at, end, False)
    guest.start(program.x, program.f, program.frm)
    cpu.reservation, cpu.pending = NO_RESERVATION, 0
    if isinstance(guest, RegionGuest):
        for plan in region_plan.plans(program):
            guest.install(*plan)
        cpu.budget = -1                         # the first look at a jump back is one that finds something
    reason, value = run_emulating(guest, program)
    registers = REGISTERS.unpack_from(guest.registers)
    return Result(list(registers[:32]), list(registers[33:]), cpu.frm, cpu.fflags, cpu.words[OFFSET["reservation"] // 8],
                  memory.read(DATA, DATA_SIZE), cpu.pc, reason, value)


def run_emulating(guest: Guest, program: Program) -> tuple[str, int]:
    """To the end: its reason and value. What no host does is done as the runtime does it, by the oracle."""
    cpu, pages = guest.cpu, _GuestPages(guest, program)
    cpu.pc, reason = program.at, "emulate" if program.frm >= FIRST_MODE_HOSTS_LACK else None
    while True:
        reason = reason or guest.run(cpu.pc)
        if cpu.behind:                          # of a LAZY region: it faults again where it did
            assert emulate.catch_up(cpu, pages)[0] is not None and cpu.pc == cpu.fault_at
        if reason != "emulate":
            return reason, value_of(guest, reason, pages)
        try:
            outcome = emulate.step(cpu, pages)
        except oracle.GuestFault as fault:
            return "fault", fault.address
        if outcome.reason is not None:
            return outcome.reason, outcome.value
        reason = "emulate" if cpu.frm >= FIRST_MODE_HOSTS_LACK else None


def value_of(guest: Guest, reason: str, pages: oracle.Memory) -> int:
    """The address of a fault, which for a non-canonical one only the oracle can tell, or of a misaligned access."""
    if reason == "fault" and ctypes.c_int32.from_address(guest.cpu.address + FAULT_INFO + SI_CODE).value == SI_KERNEL:
        with pytest.raises(oracle.GuestFault) as fault:
            emulate.step(guest.cpu, pages)
        return fault.value.address
    return guest.cpu.exit_data if reason in ("fault", "misaligned") else 0


class _Pages:
    """Data, and code to be read only; all else faults at its first byte that is outside."""

    def __init__(self, program: Program, code: bytes):
        self.data, self.code, self.at = bytearray(program.data), code, program.at

    def load(self, address: int, size: int) -> int:
        if self.at <= address and address + size <= self.at + CODE_SIZE:
            return int.from_bytes(self.code[address - self.at:address - self.at + size], "little")
        at = self.offset(address, size)
        return int.from_bytes(self.data[at:at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        at = self.offset(address, size)
        self.data[at:at + size] = value.to_bytes(size, "little")

    def offset(self, address: int, size: int) -> int:
        for byte in range(address, address + size):
            if not DATA <= byte < DATA + DATA_SIZE:
                raise oracle.GuestFault(byte % 2**64)
        return address - DATA


class _GuestPages(_Pages):
    """The same where a guest has them."""

    def __init__(self, guest: Guest, program: Program):
        def bytes_at(address: int, size: int) -> ctypes.Array[ctypes.c_char]:
            return (ctypes.c_char * size).from_address(guest.memory.base + address)
        self.data, self.code = memoryview(bytes_at(DATA, DATA_SIZE)).cast("B"), bytes_at(program.at, CODE_SIZE)  # type: ignore
        self.at = program.at


def run_oracle(program: Program) -> Result:
    """By recipes in Python, with a trace of pcs in the notes."""
    state = oracle.State(x=[*program.x, 0], f=list(program.f), pc=program.at)
    state.fields["frm"] = program.frm
    code = (program.code + struct.pack("<I", EBREAK)).ljust(CODE_SIZE, b"\0")
    pages = _Pages(program, code)
    records: dict[int, listing.Record] = {}
    outcome, trace = oracle.Outcome(program.at), []
    while outcome.reason is None and len(trace) < STEPS:
        pc = outcome.pc
        if not program.at <= pc < program.at + CODE_SIZE or pc & 1:
            outcome = oracle.Outcome(pc, "fetch")
            break
        trace.append(pc)
        record = records.get(pc)
        if record is None:
            record = records[pc] = listing.decode(code[pc - program.at:pc - program.at + 4], pc)
        form, operands = emulate.meaning(record)
        try:
            outcome = oracle.execute(form.recipe, operands, pc, pc + record.length, state, pages, emulating=True)
        except oracle.GuestFault as fault:
            outcome = oracle.Outcome(pc, "fault", fault.address)
    shown = trace if len(trace) < 60 else [*trace[:20], *trace[-40:]]
    return Result(state.x[:32], state.f, state.fields["frm"], state.flags, state.fields["reservation"],
                  bytes(pages.data), outcome.pc, outcome.reason or f"no end in {STEPS} steps", outcome.value,
                  f"{len(trace)} steps: " + " ".join(f"{pc:x}" for pc in shown))


class Unicorn:
    """QEMU 5.0's translator; for integers only, since 2.1 boxes no NaNs."""

    def __init__(self) -> None:
        self.machine = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64)
        self.machine.mem_map(CODE, CODE_SIZE)
        self.machine.mem_map(DATA, DATA_SIZE)
        self.registers = [getattr(riscv_const, f"UC_RISCV_REG_X{n}") for n in range(32)]

    def run(self, program: Program) -> Result:
        machine, end = self.machine, program.at + len(program.code)
        machine.mem_write(CODE, program.code.ljust(CODE_SIZE, b"\0"))
        machine.ctl_remove_cache(CODE, CODE + CODE_SIZE)
        machine.mem_write(DATA, program.data)
        machine.reg_write_batch(list(zip(self.registers, program.x, strict=True)))
        machine.emu_start(program.at, end)
        return Result(list(machine.reg_read_batch(self.registers)), list(program.f), program.frm, 0, NO_RESERVATION,
                      bytes(machine.mem_read(DATA, DATA_SIZE)), machine.reg_read(riscv_const.UC_RISCV_REG_PC), "breakpoint")
