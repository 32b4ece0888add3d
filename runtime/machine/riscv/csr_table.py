"""The CSRs of a RISC-V machine as a table: number, name, the word that holds it, and which bits can be read and written.

WARL and WPRI behaviour is masks where that is all there is to it, and a kind where it is not (csrs.py). Numbers that are
not here do not exist. Source: privileged manual 20240411, 2.2, 3.1, 4.1; Sstc; Sdtrig for a machine without triggers.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cache

from dragoman.dbt.compiled import wrap
from dragoman.dbt.isa.riscv.system_registers import (
    MSTATUS_FS,
    MSTATUS_MIE,
    MSTATUS_MPIE,
    MSTATUS_MPP,
    MSTATUS_MPRV,
    MSTATUS_MXR,
    MSTATUS_SIE,
    MSTATUS_SPIE,
    MSTATUS_SPP,
    MSTATUS_SUM,
    MSTATUS_TSR,
    MSTATUS_TVM,
    MSTATUS_TW,
    PMP_ENTRIES,
    SSTATUS,
)
from dragoman.dbt.state import OFFSET

# Kinds. PLAIN is bits of a word and nothing else.
(PLAIN, FFLAGS, FRM, FCSR, CYCLE, TIME, INSTRET, INHIBIT, STATUS, TVEC, SUPERVISOR_IE, MACHINE_IP, SUPERVISOR_IP, SATP, ENVIRONMENT,
 TIMER, PMPCFG, PMPADDR) = range(18)

ALL, EVEN = (1 << 64) - 1, (1 << 64) - 2
COUNTERS = 7                                        # CY, TM, IR: there are no others
SUPERVISOR_INTERRUPTS, INTERRUPTS = 0x222, 0xAAA    # SSI, STI, SEI; and those of M
# Instruction address misaligned .. call from S; page faults. A call from M cannot be delegated (3.1.8).
DELEGABLE = 0x3FF | 1 << 12 | 1 << 13 | 1 << 15
FIOM, ADUE, STCE = 1, 1 << 61, 1 << 63              # menvcfg, senvcfg
SSTATUS_WRITABLE = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR
MSTATUS_WRITABLE = (SSTATUS_WRITABLE | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW
                    | MSTATUS_TSR)
PPN_BITS, ASID_BITS = 38, 16                        # physical addresses of 50 bits
SATP_BITS = 0xF << 60 | (1 << ASID_BITS) - 1 << 44 | (1 << PPN_BITS) - 1

# number, name, word, readable, writable, kind
_ROWS: tuple[tuple[int, str, str, int, int, int], ...] = (
    (0x001, "fflags", "zero", ALL, 0x1F, FFLAGS),
    (0x002, "frm", "frm", ALL, 7, FRM),
    (0x003, "fcsr", "zero", ALL, 0xFF, FCSR),
    (0x100, "sstatus", "mstatus", SSTATUS, SSTATUS_WRITABLE, STATUS),
    (0x104, "sie", "mie", ALL, SUPERVISOR_INTERRUPTS, SUPERVISOR_IE),
    (0x105, "stvec", "stvec", ALL, ALL, TVEC),
    (0x106, "scounteren", "scounteren", ALL, COUNTERS, PLAIN),
    (0x10A, "senvcfg", "senvcfg", ALL, FIOM, PLAIN),
    (0x140, "sscratch", "sscratch", ALL, ALL, PLAIN),
    (0x141, "sepc", "sepc", ALL, EVEN, PLAIN),
    (0x142, "scause", "scause", ALL, ALL, PLAIN),
    (0x143, "stval", "stval", ALL, ALL, PLAIN),
    (0x144, "sip", "mip", ALL, 1 << 1, SUPERVISOR_IP),
    (0x14D, "stimecmp", "stimecmp", ALL, ALL, TIMER),
    (0x180, "satp", "satp", ALL, SATP_BITS, SATP),
    (0x300, "mstatus", "mstatus", ALL, MSTATUS_WRITABLE, STATUS),
    (0x301, "misa", "misa", ALL, 0, PLAIN),
    (0x302, "medeleg", "medeleg", ALL, DELEGABLE, PLAIN),
    (0x303, "mideleg", "mideleg", ALL, SUPERVISOR_INTERRUPTS, PLAIN),
    (0x304, "mie", "mie", ALL, INTERRUPTS, PLAIN),
    (0x305, "mtvec", "mtvec", ALL, ALL, TVEC),
    (0x306, "mcounteren", "mcounteren", ALL, COUNTERS, PLAIN),
    (0x30A, "menvcfg", "menvcfg", ALL, FIOM | ADUE | STCE, ENVIRONMENT),
    (0x320, "mcountinhibit", "mcountinhibit", ALL, COUNTERS & ~2, INHIBIT),
    *((0x320 + n, f"mhpmevent{n}", "zero", ALL, 0, PLAIN) for n in range(3, 32)),
    (0x340, "mscratch", "mscratch", ALL, ALL, PLAIN),
    (0x341, "mepc", "mepc", ALL, EVEN, PLAIN),
    (0x342, "mcause", "mcause", ALL, ALL, PLAIN),
    (0x343, "mtval", "mtval", ALL, ALL, PLAIN),
    (0x344, "mip", "mip", INTERRUPTS, SUPERVISOR_INTERRUPTS, MACHINE_IP),
    *((0x3A0 + n, f"pmpcfg{n}", f"pmpcfg{n}", ALL, ALL, PMPCFG) for n in range(0, PMP_ENTRIES // 8 * 2, 2)),
    *((0x3B0 + n, f"pmpaddr{n}", f"pmpaddr{n}", ALL, (1 << 54) - 1, PMPADDR) for n in range(PMP_ENTRIES)),
    # No triggers: tselect and what it selects are read-only 0, tinfo says so.
    *((0x7A0 + n, name, "zero", ALL, 0, PLAIN) for n, name in enumerate(("tselect", "tdata1", "tdata2", "tdata3"))),
    (0xB00, "mcycle", "mcycle", ALL, ALL, CYCLE),
    (0xB02, "minstret", "minstret", ALL, ALL, INSTRET),
    *((0xB00 + n, f"mhpmcounter{n}", "zero", ALL, 0, PLAIN) for n in range(3, 32)),
    (0xC00, "cycle", "mcycle", ALL, 0, CYCLE),
    (0xC01, "time", "zero", ALL, 0, TIME),
    (0xC02, "instret", "minstret", ALL, 0, INSTRET),
    *((0xC00 + n, f"hpmcounter{n}", "zero", ALL, 0, PLAIN) for n in range(3, 32)),
    *((number, name, "zero", ALL, 0, PLAIN) for number, name in
      ((0xF11, "mvendorid"), (0xF12, "marchid"), (0xF13, "mimpid"), (0xF15, "mconfigptr"))),
    (0xF14, "mhartid", "mhartid", ALL, 0, PLAIN),
)
NUMBERS: dict[str, int] = {name: number for number, name, *_ in _ROWS}

# --- as bytes: by number the row (0: there is none), then rows of words
ROWS, ROW_SIZE = 4096, 40
ROW_WORD, ROW_READABLE, ROW_WRITABLE, ROW_KIND, ROW_INDEX = range(0, ROW_SIZE, 8)


@cache
def _build(svadu: bool) -> ctypes.Array[ctypes.c_char]:
    data = ctypes.create_string_buffer(ROWS + ROW_SIZE * (len(_ROWS) + 1))
    assert len(_ROWS) < 256
    for at, (number, name, word, readable, writable, kind) in enumerate(_ROWS, 1):
        index = int("".join(filter(str.isdigit, name)) or 0)
        writable &= ALL if svadu or name != "menvcfg" else ~ADUE
        row = (OFFSET[word], wrap(readable), wrap(writable), kind, index)
        data[number] = bytes((at,))
        struct.pack_into("<5q", data, ROWS + ROW_SIZE * at, *row)
    return data


def address(svadu: bool = True) -> int:
    """Of the table, for the word `csr_table`. It lives as long as the process. Without Svadu, menvcfg.ADUE is read-only 0 (3.1.18)."""
    return ctypes.addressof(_build(svadu))
