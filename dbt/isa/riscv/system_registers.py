"""System registers of RISC-V that a virtual CPU keeps as words of its state, by the manual's names.

Not here: sstatus, sie and sip, which are views of mstatus, mie and mip; fflags, frm and fcsr (csr.py). `mode` is the
privilege mode: 0 U, 1 S, 3 M. mip has what registers and devices say; of the supervisor external interrupt, which
firmware may raise too, the device's line is bit EXTERNAL_LINE above the register's bit (3.1.9).
"""

from __future__ import annotations

from dragoman.dbt import state

U_MODE, S_MODE, M_MODE = 0, 1, 3
PMP_ENTRIES = 16
EXTERNAL_LINE = 32
# Bits of mstatus (3.1.6). SD, SXL and UXL are kept in the word, so that reading it is one load.
MSTATUS_SIE, MSTATUS_MIE, MSTATUS_SPIE, MSTATUS_MPIE, MSTATUS_SPP = 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 8
MSTATUS_MPP_SHIFT, MSTATUS_FS_SHIFT = 11, 13
MSTATUS_MPP, MSTATUS_FS = 3 << MSTATUS_MPP_SHIFT, 3 << MSTATUS_FS_SHIFT
MSTATUS_MPRV, MSTATUS_SUM, MSTATUS_MXR, MSTATUS_TVM, MSTATUS_TW, MSTATUS_TSR = (1 << n for n in range(17, 23))
MSTATUS_XL = 2 << 34 | 2 << 32
MSTATUS_SD = 1 << 63
# What sstatus shows of mstatus (4.1.1).
SSTATUS = (MSTATUS_SD | 3 << 32 | MSTATUS_MXR | MSTATUS_SUM | MSTATUS_FS | MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE)

# What the monitor counts: exits by reason, traps by cause, sensitive instructions that left by kind.
CAUSES = 16
# And, in the counting build only, accesses to these CSRs that did not leave native code (sensitive.py: inline).
INLINE_COUNTER = "stat_inline_"
INLINE_CSRS = tuple("""
    fflags frm fcsr time sstatus sie stvec sscratch sepc scause stval mstatus mscratch mepc mcause mtval mhartid
    """.split())
STATISTICS = (*(f"stat_exit_{reason}" for reason in state.EXITS), *(f"stat_trap_{cause}" for cause in range(CAUSES)),
              *(f"stat_interrupt_{cause}" for cause in range(CAUSES)),
              *(f"stat_system_{kind}" for kind in ("csr", "mret", "sret", "wfi", "sfence")),
              *(f"{INLINE_COUNTER}{name}" for name in INLINE_CSRS))
NAMES = (*"""
    mode mstatus misa medeleg mideleg mie mip mtvec mcounteren mcountinhibit mscratch mepc mcause mtval menvcfg mhartid
    stvec scounteren sscratch sepc scause stval satp senvcfg stimecmp mtimecmp mcycle minstret
    """.split(),
    *(f"pmpcfg{n}" for n in range(0, PMP_ENTRIES // 8 * 2, 2)), *(f"pmpaddr{n}" for n in range(PMP_ENTRIES)),
    "zero",             # stays 0: what is read of registers that are read-only zero
    "monitor",          # 1: calls from S mode are for the monitor, which is the firmware then; 0: the guest has its own
    "view_key",         # the translation context that was selected last
    "csr_table",        # address of the table of CSRs
    "trap_pc",          # of the last trap, if it was taken at the first instruction of its handler; else -1
    "trap_repeats",     # how often in a row
    *STATISTICS)
state.place_system(NAMES)
