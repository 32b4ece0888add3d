"""RISC-V, RV64GC with B, Zbc and Zicond: what its instructions mean."""

from dragoman.dbt.isa.riscv import system_registers as system_registers
from dragoman.dbt.isa.riscv.forms import FORM, FORMS, HOT, MACHINE, THREE_ADDRESS, WIDE_IMMEDIATE, WITH_WORD
from dragoman.dbt.isa.riscv.registers import PINNED, REGISTER_NAMES, ZERO

__all__ = ["FORM", "FORMS", "HOT", "MACHINE", "PINNED", "REGISTER_NAMES", "THREE_ADDRESS", "WIDE_IMMEDIATE", "WITH_WORD",
           "ZERO"]
