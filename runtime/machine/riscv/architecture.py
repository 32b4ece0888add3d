"""RISC-V as a machine's architecture: its compiled functions, harts, board, boot and firmware calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.riscv import board as boards
from dragoman.runtime.machine.riscv import boot as booting
from dragoman.runtime.machine.riscv import sbi
from dragoman.runtime.machine.riscv.hart import A0, TIME_BASE, Hart

RAM = boards.RAM
# What Python calls; more than these is in the image.
NATIVE = ["on_exit", "raise_trap", "switch_context", "fetch_code", "translate", "flush_tlb", "give_up_writes", "take_dirty_code", "tell_written",
          "raise_line", "lower_line", "enabled_pending", "update_timers", "now_ticks", "set_bits", "clear_bits"]
# Words of the MEMORY block (runtime/memory/frames.py) that are functions of this architecture.
TRANSLATION = {"walk": "walk", "space": "address_space", "rights": "context_rights", "context": "context_bits", "pmp": "pmp_check"}


def functions() -> Sequence[Callable[..., int | None]]:
    """All that native code or Python calls by name, to be compiled into the machine's image."""
    from dragoman.dbt.compiled import FUNCTIONS
    from dragoman.runtime.machine.riscv import exits, interrupts, walk
    from dragoman.runtime.memory import requests, tlb
    assert exits and interrupts and walk and requests and tlb
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
    extensions = [name for name in boards.EXTENSIONS if name != "svadu" or options.accessed == "hardware"]
    settings = boards.BoardOptions(sink=machine.console.write, power_off=machine.power_off, reset=machine.reset,
                                   bootargs=options.append, extensions=extensions)
    made.build(machine.harts, machine.memory, settings, {})         # type: ignore[arg-type]
    machine.console.on_input = lambda: machine.events.post(lambda: take_input(machine, made))
    return made


def take_input(machine: Machine, made: boards.Board) -> None:
    """What was typed, as far as the serial port has room."""
    made.uart.receive(machine.console.read(made.uart.room()))


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


service = sbi.handle
