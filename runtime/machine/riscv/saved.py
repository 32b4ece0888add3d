"""What a snapshot keeps of a RISC-V machine: harts, their common time, the board's devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dragoman.dbt.isa.riscv.system_registers import M_MODE, NAMES, S_MODE, U_MODE
from dragoman.runtime.machine.riscv.csrs import reset

if TYPE_CHECKING:
    from dragoman.runtime.machine.machine import Machine
    from dragoman.runtime.machine.riscv.hart import Hart

NAME = "riscv64"
DERIVED = ("csr_table", "view_key", "zero")         # words that are of this process, or constant
COUNTERS = {"mcycle": 0xB00, "minstret": 0xB02}     # words that depend on the host's clock: their values are saved
MASK = (1 << 64) - 1


def state(machine: Machine) -> dict[str, Any]:
    """While nothing moves (standstill.py)."""
    return {"isa": NAME, "passed": _passed(machine), "harts": [hart_state(hart) for hart in machine.harts],    # type: ignore[arg-type]
            "board": machine.board.state()}


def restore(machine: Machine, saved: dict[str, Any]) -> None:
    """Of a machine that does not run yet, whose virtio devices are restored. Raises ValueError, KeyError, TypeError."""
    if saved["isa"] != NAME:
        raise ValueError(f"it is of a machine of {saved['isa']}, not {NAME}")
    behind = saved["passed"] - _passed(machine)
    for hart, each in zip(machine.harts, saved["harts"], strict=True):
        restore_hart(hart, each, behind)                                            # type: ignore[arg-type]
    machine.board.restore(saved["board"], machine.options.rtc is not None)


def _passed(machine: Machine) -> int:
    """Ticks since this process has set up its clock: what the guest's time goes on by is this and `clock_offset`."""
    first = machine.harts[0]
    return (first.time() - first.register("clock_offset")) & MASK                   # type: ignore[attr-defined]


def hart_state(hart: Hart) -> dict[str, Any]:
    """The reservation is dropped: a store-conditional may fail at any time (unprivileged manual, Zalrsc)."""
    cpu, address = hart.cpu, hart.cpu.address
    words = {name: hart.register(name) for name in NAMES if name not in DERIVED}
    words |= {name: hart.native.csr_read(address, number) & MASK for name, number in COUNTERS.items()}
    return {"x": list(cpu.x[:32]), "f": list(cpu.f), "pc": cpu.pc, "fcsr": cpu.fcsr, "instructions": cpu.instructions,
            "clock_offset": hart.register("clock_offset"), "words": words,
            "started": int(hart.started), "privilege": hart.privilege, "a2": hart.a2}


def restore_hart(hart: Hart, saved: dict[str, Any], behind: int) -> None:
    """`behind`: ticks that the clock here has to be put forward by."""
    cpu, words = hart.cpu, saved["words"]
    if words["mode"] not in (U_MODE, S_MODE, M_MODE) or words["mhartid"] != hart.hart_id:
        raise ValueError(f"hart {hart.hart_id}: mode {words['mode']}, number {words['mhartid']}")
    cpu.reset_registers()
    reset(cpu.address, hart.hart_id, False, hart.machine.options.accessed == "hardware")
    for name in NAMES:
        if name not in DERIVED and name in words:
            hart.set_register(name, words[name])
        elif name not in DERIVED and not name.startswith("stat_"):
            raise KeyError(name)
    cpu.x[:32], cpu.f[:], cpu.pc, cpu.fcsr = saved["x"], saved["f"], saved["pc"], saved["fcsr"]
    cpu.instructions = saved["instructions"]
    hart.set_register("clock_offset", saved["clock_offset"] + behind)
    for name, number in COUNTERS.items():
        hart.native.csr_write(cpu.address, number, signed(words[name]))
    hart.started, hart.privilege, hart.a2 = bool(saved["started"]), saved["privilege"], saved["a2"]
    hart.native.forget_translations(cpu.address)
    hart.native.switch_context(cpu.address)
    hart.native.update_timers(cpu.address)


def signed(word: int) -> int:
    """As compiled functions take it."""
    return word - (1 << 64) if word >> 63 else word
