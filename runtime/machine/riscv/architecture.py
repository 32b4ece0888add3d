"""RISC-V as a machine's architecture: its compiled functions, harts, board, boot and firmware calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dragoman.dbt.isa.riscv.system_registers import INLINE_CSRS, NAMES
from dragoman.dbt.state import EXITS
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.riscv import board as boards
from dragoman.runtime.machine.riscv import boot as booting
from dragoman.runtime.machine.riscv import saved, sbi
from dragoman.runtime.machine.riscv.hart import A0, TIME_BASE, Hart

if TYPE_CHECKING:
    from dragoman.runtime.machine.riscv.debug_walk import Walk

RAM = boards.RAM
# System registers that engines must have alike: not what is counted, and where tables are.
COMPARED = tuple(name for name in NAMES if not name.startswith("stat_") and name not in ("view_key", "csr_table"))
SEED = bytes(range(32))         # of the kernel's random numbers, on virtual time
# What Python calls; more than these is in the image.
NATIVE = ["on_exit", "raise_trap", "switch_context", "csr_read", "csr_write", "fetch_code", "translate", "flush_tlb", "forget_translations",
          "give_up_writes", "take_dirty_code", "settle_dirty_code", "tell_written", "sync_page", "blank_pages", "used_pages", "page_sum",
          "raise_line", "lower_line", "enabled_pending", "update_timers", "now_ticks", "set_bits", "clear_bits",
          "take_turn", "seek_turn", "keep_turn", "give_turn", "ring_bell"]
# Words of the MEMORY block (runtime/memory/frames.py) that are functions of this architecture.
TRANSLATION = {"walk": "walk", "space": "address_space", "rights": "context_rights", "context": "context_bits", "pmp": "pmp_check"}


def functions() -> Sequence[Callable[..., int | None]]:
    """All that native code or Python calls by name, to be compiled into the machine's image."""
    from dragoman.dbt.compiled import FUNCTIONS
    from dragoman.runtime.machine import snapshot_pages
    from dragoman.runtime.machine.riscv import exits, interrupts, walk
    from dragoman.runtime.memory import refusals, requests, tlb, views
    assert exits and interrupts and walk and refusals and requests and tlb and views and snapshot_pages
    return [FUNCTIONS[name].function for name in (*NATIVE, "tlb_fill", *TRANSLATION.values())]


def translation(machine: Machine) -> dict[str, int]:
    """Words of the MEMORY block that say how this architecture translates addresses."""
    from dragoman.runtime.machine.riscv import walk
    symbols = machine.engine.image.symbols
    return {word: symbols[name] for word, name in TRANSLATION.items()} | walk.LAYOUT


def hart(machine: Machine, number: int) -> Hart:
    """A hart, with its tables in the machine's."""
    cpu = machine.engine.cpu()
    machine.translation.attach(cpu.address)
    made = Hart(machine, cpu, number)
    made.set_register("clock_base", machine.clock_base)
    made.set_register("clock_scale", int((1 << 64) * TIME_BASE / machine.host_rate))
    return made


def board(machine: Machine) -> boards.Board:
    """The board with its devices, as the options want it."""
    options = machine.options
    made = boards.Board(machine.events)
    settings = boards.BoardOptions(
        sink=machine.console.write, power_off=machine.power_off, reset=machine.reset, bootargs=options.append,
        extensions=boards.extensions(options.cpu, options.accessed == "hardware"),
        clock=clock_from(options.rtc, machine.rounds.nanoseconds if machine.rounds else time.monotonic_ns) if options.rtc is not None
        else time.time_ns,
        seed=None if machine.rounds is None else SEED)
    transports = machine.equipment.connect(machine, made.line, boards.SLOTS)
    doorbell = machine.equipment.doorbell(machine, made.plic.line(boards.DOORBELL_SOURCE))
    made.build(machine.harts, machine.memory, settings, transports, doorbell)         # type: ignore[arg-type]
    made.bus.tell = machine.tell_device()
    if options.console == "serial":
        def take_input() -> None:
            made.uart.receive(machine.console.read(made.uart.room()))
        made.uart.ready = take_input
        machine.console.on_input = lambda: machine.events.post(take_input)
    return made


def clock_from(seconds: int, now: Callable[[], int]) -> Callable[[], int]:
    """A clock that shows this many seconds since 1970 now, in ns, and goes on as `now` does."""
    offset = seconds * 10 ** 9 - now()
    return lambda: now() + offset


def boot(machine: Machine) -> None:
    """Load the files and start the harts."""
    options = machine.options
    start = booting.boot(machine.memory, options.kernel, options.initrd, options.bios, bare=False, tree=machine.board.tree)
    for number, each in enumerate(machine.harts):
        registers = start.registers(number)
        assert isinstance(each, Hart)
        each.privilege, each.a2 = start.privilege, registers.get(A0 + 2, 0)
        if number == 0 or start.all_harts:
            each.start(start.pc, registers[A0], registers[A0 + 1])


TRAPS = {0: "instruction address misaligned", 1: "instruction access fault", 2: "illegal instruction", 3: "breakpoint",
         4: "load address misaligned", 5: "load access fault", 6: "store or AMO address misaligned", 7: "store or AMO access fault",
         8: "call from U mode", 9: "call from S mode", 11: "call from M mode", 12: "instruction page fault", 13: "load page fault",
         15: "store or AMO page fault"}
INTERRUPTS = {1: "supervisor software", 3: "machine software", 5: "supervisor timer", 7: "machine timer", 9: "supervisor external",
              11: "machine external"}
INTERRUPT_BIT = 1 << 63
SYSTEM = {"csr": "control and status registers", "mret": "mret", "sret": "sret", "wfi": "wfi", "sfence": "sfence.vma and its kind"}


MODES = {0: "U", 1: "S", 3: "M"}
ENTRY_BITS = "vrwxugad"                 # of a page-table entry, from bit 0 (4.3.1)


def cause_name(cause: int) -> str:
    """Of the value of mcause or scause, unsigned."""
    table, number = (INTERRUPTS, cause & INTERRUPT_BIT - 1) if cause & INTERRUPT_BIT else (TRAPS, cause)
    kind = "interrupt" if cause & INTERRUPT_BIT else "exception"
    return f"{kind} {number} ({table.get(number, 'unknown')})"


def entry_text(entry: int) -> str:
    """A page-table entry: its bits, and the physical address that it leads to."""
    bits = "".join(letter if entry >> n & 1 else "-" for n, letter in enumerate(ENTRY_BITS))
    return f"0x{entry:x} (0x{(entry >> 10 & (1 << 44) - 1) << 12:x} {bits})"


def exit_rows(hart: Hart) -> list[tuple[str, str, list[tuple[str, int]]]]:
    """What a hart's compiled hook has counted: tables of (name, count), each with a word and a title."""
    def counts(kind: str, names: dict[Any, str]) -> list[tuple[str, int]]:
        return sorted(((text, hart.register(f"stat_{kind}_{key}")) for key, text in names.items()), key=lambda row: -row[1])
    return [("native", "exits from native code, by reason", counts("exit", {name: name for name in EXITS})),
            ("sensitive", "sensitive instructions that left native code", counts("system", SYSTEM)),
            ("inline", "sensitive instructions inline (counted with --count)", counts("inline", {name: name for name in INLINE_CSRS})),
            ("exceptions", "exceptions", counts("trap", TRAPS)), ("interrupts", "interrupts", counts("interrupt", INTERRUPTS))]


def debugging() -> tuple[ModuleType, Callable[[Hart, int], Walk]]:
    """For gdb: the registers, and how a hart translates an address."""
    from dragoman.runtime.machine.riscv import debug_walk, gdb_registers
    return gdb_registers, debug_walk.walk


service = sbi.handle
state, restore = saved.state, saved.restore
