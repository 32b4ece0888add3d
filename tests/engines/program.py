"""A short guest program, the state it starts from, and how it ended: on an engine, on the oracle, on Unicorn."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import unicorn
from unicorn import riscv_const

from dragoman.dbt import listing, oracle
from dragoman.dbt.isa.riscv import FORM, FORMS, REGISTER_NAMES
from dragoman.dbt.state import OFFSET
from tests.engines.guest import EBREAK, PAGE, REGISTERS, Guest

CODE, CODE_SIZE, DATA, DATA_SIZE = 0x4_0000, 2 * PAGE, 0x8_0000, 2 * PAGE
NO_RESERVATION = (1 << 64) - 1
STEPS = 5000


@dataclass(frozen=True)
class Program:
    """Code at `at`, a breakpoint behind it; registers and data that it starts with."""
    code: bytes
    x: Sequence[int]
    f: Sequence[int] = (0,) * 32
    data: bytes = bytes(DATA_SIZE)
    frm: int = 0
    at: int = CODE

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


def check(program: Program, name: str, result: Result, other_name: str, other: Result) -> None:
    """Fails with all that is needed to see why: listing, start, both ends."""
    if result == other:
        return
    start = [f"{n}={value:#x}" for n, value in zip(REGISTER_NAMES["x"], program.x, strict=True) if value]
    floats = [f"{n}={value:#x}" for n, value in zip(REGISTER_NAMES["f"], program.f, strict=True) if value]
    raise AssertionError("\n".join([
        f"{name} against {other_name}:", *("  " + line for line in result.differences(other)),
        "program:", program.listing(), f"start: frm={program.frm} {' '.join(start + floats)}",
        f"data: {program.data.rstrip(bytes(1)).hex()}", *(r.notes for r in (result, other) if r.notes)]))


def run(guest: Guest, program: Program) -> Result:
    """On an engine. Its memory: pages for code and data, nothing else."""
    memory, cpu, end = guest.memory, guest.cpu, program.at + CODE_SIZE
    guest.attach()
    guest.engine.clear_executable(program.at, end)
    memory.protect(program.at, CODE_SIZE)
    memory.protect(DATA, DATA_SIZE)
    memory.write(program.at, (program.code + struct.pack("<I", EBREAK)).ljust(CODE_SIZE, b"\0"))
    memory.write(DATA, program.data)
    guest.engine.set_executable(program.at, end, False)
    guest.start(program.x, program.f, program.frm)
    cpu.reservation, cpu.pending = NO_RESERVATION, 0
    reason = guest.run(program.at)
    registers = REGISTERS.unpack_from(guest.registers())
    return Result(list(registers[:32]), list(registers[33:]), cpu.frm, cpu.fflags, cpu.words[OFFSET["reservation"] // 8],
                  memory.read(DATA, DATA_SIZE), cpu.pc, reason,
                  cpu.exit_data if reason in ("fault", "misaligned") else 0)


class _Data:
    """The data pages; all else faults at its first byte that is outside."""

    def __init__(self, content: bytes):
        self.content = bytearray(content)

    def offset(self, address: int, size: int) -> int:
        for byte in range(address, address + size):
            if not DATA <= byte < DATA + DATA_SIZE:
                raise oracle.GuestFault(byte % 2**64)
        return address - DATA

    def load(self, address: int, size: int) -> int:
        at = self.offset(address, size)
        return int.from_bytes(self.content[at:at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        at = self.offset(address, size)
        self.content[at:at + size] = value.to_bytes(size, "little")


def run_oracle(program: Program) -> Result:
    """By recipes in Python, with a trace of pcs in the notes."""
    state = oracle.State(x=[*program.x, 0], f=list(program.f), pc=program.at)
    state.fields["frm"] = program.frm
    data, code = _Data(program.data), (program.code + struct.pack("<I", EBREAK)).ljust(CODE_SIZE, b"\0")
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
        operands = record._asdict()
        try:
            outcome = oracle.execute(FORM[record.form].recipe, operands, pc, pc + record.length, state, data)
        except oracle.GuestFault as fault:
            outcome = oracle.Outcome(pc, "fault", fault.address)
    shown = trace if len(trace) < 60 else [*trace[:20], *trace[-40:]]
    return Result(state.x[:32], state.f, state.fields["frm"], state.flags, state.fields["reservation"],
                  bytes(data.content), outcome.pc, outcome.reason or f"no end in {STEPS} steps", outcome.value,
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


FORM_NAMES = tuple(form.name for form in FORMS)
