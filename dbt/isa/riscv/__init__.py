"""RISC-V, RV64GC with B, Zbc and Zicond: what its instructions mean. Forms are recorded when somebody asks for them: who runs
what is built already does not."""

from typing import TYPE_CHECKING, Any

from dragoman.dbt.isa.riscv import system_registers as system_registers
from dragoman.dbt.isa.riscv.registers import PINNED, REGISTER_NAMES, ZERO

if TYPE_CHECKING:
    from dragoman.dbt.isa.riscv.forms import FORM, FORMS, HOT, MACHINE, THREE_ADDRESS, WIDE_IMMEDIATE, WITH_WORD, ZERO_IMMEDIATE

__all__ = ["FORM", "FORMS", "HOT", "MACHINE", "PINNED", "REGISTER_NAMES", "THREE_ADDRESS", "WIDE_IMMEDIATE", "WITH_WORD",
           "ZERO", "ZERO_IMMEDIATE"]


def __getattr__(name: str) -> Any:
    """What forms.py has, the first time that it is asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dragoman.dbt.isa.riscv import forms
    globals().update({each: getattr(forms, each) for each in __all__ if each not in globals()})
    return globals()[name]
