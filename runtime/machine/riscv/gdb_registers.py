"""The registers of a hart as gdb numbers them: those of programs, then the CSRs and the privilege mode."""

from __future__ import annotations

from dragoman.runtime.gdb.riscv_registers import FLOAT_CSRS, INTEGER_AND_FLOAT, Register, description, set_pc
from dragoman.runtime.machine.riscv.csr_table import NUMBERS
from dragoman.runtime.machine.vcpu import MASK, Vcpu

MODES = {0: "U", 1: "S", 3: "M"}
READ_ONLY = 3                       # bits 11:10 of a CSR's number


def _csr(name: str, feature: str, size: int = 8) -> Register:
    number = NUMBERS[name]

    def write(hart: Vcpu, value: int) -> bool:
        """As an instruction with all rights; what follows from it, does."""
        if number >> 10 == READ_ONLY:
            return False
        hart.write_system_register(name, value)
        hart.kick()
        return True
    return Register(name, feature, size, "int", lambda hart: hart.native.csr_read(hart.cpu.address, number), write)


def _set_privilege(hart: Vcpu, value: int) -> bool:
    if value not in MODES:
        return False
    hart.write_system_register("mode", value)
    return True


REGISTERS = (
    *INTEGER_AND_FLOAT,
    *(_csr(name, "fpu", 4) for name in FLOAT_CSRS),
    *(_csr(name, "csr") for name in NUMBERS if name not in FLOAT_CSRS),
    Register("priv", "virtual", 8, "int", lambda hart: hart.register("mode"), _set_privilege),
)
GENERAL = next(number for number, row in enumerate(REGISTERS) if row.feature == "csr")      # those of the request for all
assert len({row.name for row in REGISTERS}) == len(REGISTERS)
FEATURES = {b"target.xml": description(REGISTERS)}


def state_of(hart: Vcpu) -> str:
    """For lists of harts."""
    if not hart.started:
        return "stopped"
    return f"{MODES.get(hart.register('mode'), '?')} mode at {hart.cpu.pc & MASK:#x}"


__all__ = ["FEATURES", "GENERAL", "REGISTERS", "set_pc", "state_of"]
