"""The registers of a hart as gdb numbers them, with the target description (features org.gnu.gdb.riscv.*; gdb, appendix G.5.12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dragoman.runtime.machine.riscv.csr_table import NUMBERS
from dragoman.runtime.machine.vcpu import MASK, Vcpu

NAMES = """zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6""".split()
FLOAT_NAMES = """ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11
    ft8 ft9 ft10 ft11""".split()
POINTERS = {"sp": "data_ptr", "pc": "code_ptr", "ra": "code_ptr"}
FLOAT_CSRS = ("fflags", "frm", "fcsr")
MODES = {0: "U", 1: "S", 3: "M"}
READ_ONLY = 3                       # bits 11:10 of a CSR's number


class Register(NamedTuple):
    """`write` returns whether it could be."""
    name: str
    feature: str
    size: int                       # bytes
    type: str
    read: Callable[[Vcpu], int]
    write: Callable[[Vcpu, int], bool]


def set_pc(hart: Vcpu, address: int) -> bool:
    """Without its lowest bit, which jumps ignore, too."""
    hart.cpu.pc = address & ~1
    return True


def _general(number: int) -> Register:
    def write(hart: Vcpu, value: int) -> bool:
        if number:
            hart.cpu.x[number] = value
        return True
    return Register(NAMES[number], "cpu", 8, POINTERS.get(NAMES[number], "int"), lambda hart: hart.cpu.x[number], write)


def _float(number: int) -> Register:
    def write(hart: Vcpu, value: int) -> bool:
        hart.cpu.f[number] = value
        return True
    return Register(FLOAT_NAMES[number], "fpu", 8, "riscv_double", lambda hart: hart.cpu.f[number], write)


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
    *(_general(number) for number in range(32)),
    Register("pc", "cpu", 8, "code_ptr", lambda hart: hart.cpu.pc, set_pc),
    *(_float(number) for number in range(32)),
    *(_csr(name, "fpu", 4) for name in FLOAT_CSRS),
    *(_csr(name, "csr") for name in NUMBERS if name not in FLOAT_CSRS),
    Register("priv", "virtual", 8, "int", lambda hart: hart.register("mode"), _set_privilege),
)
GENERAL = next(number for number, row in enumerate(REGISTERS) if row.feature == "csr")      # those of the request for all
assert len({row.name for row in REGISTERS}) == len(REGISTERS)

_UNION = """<union id="riscv_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>"""
_GROUPS = {"fpu": "float", "csr": "csr"}


def _feature(name: str) -> str:
    rows = "".join(
        f'<reg name="{row.name}" bitsize="{8 * row.size}" type="{row.type}" regnum="{number}"'
        + (f' group="{_GROUPS[name]}"' if name in _GROUPS else "") + "/>\n"
        for number, row in enumerate(REGISTERS) if row.feature == name)
    return f'<feature name="org.gnu.gdb.riscv.{name}">\n{_UNION if name == "fpu" else ""}{rows}</feature>\n'


FEATURES = {b"target.xml": (
    '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target>\n<architecture>riscv:rv64</architecture>\n'
    + "".join(map(_feature, ("cpu", "fpu", "csr", "virtual"))) + "</target>\n").encode()}


def state_of(hart: Vcpu) -> str:
    """For lists of harts."""
    if not hart.started:
        return "stopped"
    return f"{MODES.get(hart.register('mode'), '?')} mode at {hart.cpu.pc & MASK:#x}"
