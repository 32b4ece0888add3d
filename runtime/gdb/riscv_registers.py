"""Registers of RISC-V as gdb numbers them, and target descriptions of them (features org.gnu.gdb.riscv.*; gdb, appendix G.5.12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dragoman.runtime.gdb.protocol import Malformed

NAMES = """zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6""".split()
FLOAT_NAMES = """ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11
    ft8 ft9 ft10 ft11""".split()
FLOAT_CSRS = ("fflags", "frm", "fcsr")
POINTERS = {"sp": "data_ptr", "ra": "code_ptr"}


class Register(NamedTuple):
    """Of whatever has a `cpu`: a hart, a thread. `write` returns whether it could be."""
    name: str
    feature: str
    size: int                       # bytes
    type: str
    read: Callable[[Any], int]
    write: Callable[[Any, int], bool]


def parts_of(registers: Sequence[Register], data: bytes) -> list[tuple[int, bytes]]:
    """(number, bytes) of the registers that come before the end of the data. Raises Malformed if that is not between two."""
    parts, at = [], 0
    for number, row in enumerate(registers):
        if at + row.size <= len(data):
            parts.append((number, data[at:at + row.size]))
        at += row.size
    if sum(len(part) for _, part in parts) != len(data):
        raise Malformed
    return parts


def set_pc(owner: Any, address: int) -> bool:
    """Without its lowest bit, which jumps ignore, too."""
    owner.cpu.pc = address & ~1
    return True


def _general(number: int) -> Register:
    def write(owner: Any, value: int) -> bool:
        if number:
            owner.cpu.x[number] = value
        return True
    return Register(NAMES[number], "cpu", 8, POINTERS.get(NAMES[number], "int"), lambda owner: owner.cpu.x[number], write)


def _float(number: int) -> Register:
    def write(owner: Any, value: int) -> bool:
        owner.cpu.f[number] = value
        return True
    return Register(FLOAT_NAMES[number], "fpu", 8, "riscv_double", lambda owner: owner.cpu.f[number], write)


def _float_csr(name: str) -> Register:
    def write(owner: Any, value: int) -> bool:
        setattr(owner.cpu, name, value)
        return True
    return Register(name, "fpu", 4, "int", lambda owner: getattr(owner.cpu, name), write)


# In gdb's order of numbers: 0 to 31, 32, 33 to 64.
INTEGER_AND_FLOAT = (
    *(_general(number) for number in range(32)),
    Register("pc", "cpu", 8, "code_ptr", lambda owner: owner.cpu.pc, set_pc),
    *(_float(number) for number in range(32)),
)
OF_PROGRAMS = (*INTEGER_AND_FLOAT, *(_float_csr(name) for name in FLOAT_CSRS))

_UNION = """<union id="riscv_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>"""
_GROUPS = {"fpu": "float", "csr": "csr"}


def _feature(name: str, rows: Sequence[Register]) -> str:
    texts = "".join(
        f'<reg name="{row.name}" bitsize="{8 * row.size}" type="{row.type}" regnum="{number}"'
        + (f' group="{_GROUPS[name]}"' if name in _GROUPS else "") + "/>\n"
        for number, row in enumerate(rows) if row.feature == name)
    return f'<feature name="org.gnu.gdb.riscv.{name}">\n{_UNION if name == "fpu" else ""}{texts}</feature>\n'


def description(rows: Sequence[Register], system: str = "") -> bytes:
    """target.xml. system: gdb's name of the operating system, empty: none."""
    features = dict.fromkeys(row.feature for row in rows)
    return ('<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target>\n<architecture>riscv:rv64</architecture>\n'
            + (f"<osabi>{system}</osabi>\n" if system else "")
            + "".join(_feature(name, rows) for name in features) + "</target>\n").encode()
