"""System registers of RISC-V that a virtual CPU keeps as words of its state, by the manual's names.

Not here: sstatus, sie and sip, which are views of mstatus, mie and mip; fflags, frm and fcsr (csr.py). `mode` is the
privilege mode: 0 U, 1 S, 3 M.
"""

from __future__ import annotations

from dragoman.dbt import state

U_MODE, S_MODE, M_MODE = 0, 1, 3
PMP_ENTRIES = 16
NAMES = tuple("""
    mode mstatus misa medeleg mideleg mie mip mtvec mcounteren mcountinhibit mscratch mepc mcause mtval menvcfg mhartid
    stvec scounteren sscratch sepc scause stval satp senvcfg stimecmp
""".split()) + tuple(f"pmpcfg{n}" for n in range(0, PMP_ENTRIES // 8 * 2, 2)) + tuple(f"pmpaddr{n}" for n in range(PMP_ENTRIES))
state.place_system(NAMES)
