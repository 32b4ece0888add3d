"""CSRs: which exist, who may access them, which values are legal. Rows from the privileged manual, 20240411."""

import ctypes

import pytest

from dragoman.dbt.compiled import clock
from dragoman.dbt.state import CACHE, CACHE_SIZE
from dragoman.runtime.machine.riscv import csrs
from tests.privileged.hart import FS, MASK, MPP_S, SD, SPP, TVM, XL, Hart, M, S, U

ONES = MASK
# number, written, read back (in M mode, after reset), section
LEGAL = [
    (0x300, ONES, XL | SD | 0x7FF9AA & ~(1 << 6 | 3 << 15 | 3 << 9), "3.1.6: UBE, VS, XS read-only 0; SD"),
    (0x300, 1 << 13, XL | SD | FS, "3.1.6.6: FS may be dirty for whatever is not off"),
    (0x300, 2 << 11, XL, "3.1.6.1: MPP 2 is reserved"),
    (0x300, MPP_S | SPP, XL | MPP_S | SPP, "3.1.6.1"),
    (0x300, 0, XL, "3.1.6.3: SXL and UXL are 2"),
    (0x100, ONES, SD | 2 << 32 | 0xC6122, "4.1.1"),
    (0x301, 0, 2 << 62 | 0x14112D, "3.1.1: IMAFDC, S, U; may be read-only"),
    (0x302, ONES, 0xB3FF, "3.1.8: no delegation of calls from M; 10 and 14 reserved"),
    (0x303, ONES, 0x222, "3.1.8: supervisor interrupts"),
    (0x304, ONES, 0xAAA, "3.1.9"),
    (0x344, ONES, 0x222, "3.1.9: MEIP, MTIP, MSIP are read-only"),
    (0x305, 0x80000103, 0x80000101, "3.1.7: modes 2 and up are reserved"),
    (0x105, 0x80000102, 0x80000100, "4.1.2"),
    (0x306, ONES, 7, "3.1.11: only CY, TM, IR have counters"),
    (0x106, ONES, 7, "4.1.5"),
    (0x320, ONES, 5, "3.1.12: bit 1 is read-only 0"),
    (0x341, ONES, ONES - 1, "3.1.14"),
    (0x141, 0x1235, 0x1234, "4.1.7"),
    (0x340, ONES, ONES, "3.1.13"), (0x140, ONES, ONES, "4.1.6"),
    (0x342, 1 << 63 | 7, 1 << 63 | 7, "3.1.15"), (0x142, 15, 15, "4.1.8"),
    (0x343, ONES, ONES, "3.1.16"), (0x143, ONES, ONES, "4.1.9"),
    (0x30A, ONES, 1 << 63 | 1 << 61 | 1, "3.1.18: STCE, ADUE, FIOM; no CBO, no PBMT"),
    (0x10A, ONES, 1, "4.1.10"),
    (0x14D, ONES, ONES, "Sstc"),
    (0x180, 8 << 60 | 0x8_0000, 8 << 60 | 0x8_0000, "4.1.11: Sv39"),
    (0x180, 9 << 60 | 0xFFFF << 44, 9 << 60 | 0xFFFF << 44, "4.1.11: Sv48"),
    (0x180, 10 << 60 | 5, 0, "4.1.11: Sv57 is not supported: no effect"),
    (0x180, 1 << 60 | 5, 0, "4.1.11: reserved: no effect"),
    (0x3A0, 0x1F, 0x1F, "3.7.1"),
    (0x3A0, 0x1A, 0x18, "3.7.1: W without R is reserved"),
    (0x3A0, 0x17, 0x07, "3.7.1: NA4 cannot be selected with a granularity of 4 KiB"),
    (0x3A0, 0x7F, 0x1F, "3.7.1: bits 5 and 6"),
    (0x3B0, ONES, ((1 << 54) - 1) & ~0x3FF, "3.7.1: OFF: the low 10 bits read as zeros"),
    (0x001, ONES, 0x1F, "Zicsr, F"), (0x002, 3, 3, "F"), (0x003, 0x7F, 0x7F, "F"),
    *((number, ONES, 0, "3.1.10: hardwired") for number in (0xB03, 0xB1F, 0x323, 0x33F)),
    *((number, ONES, 0, "Sdtrig: no triggers") for number in (0x7A0, 0x7A1, 0x7A2)),
]


@pytest.mark.parametrize(("number", "written", "read", "why"), LEGAL, ids=lambda v: f"{v:#x}" if isinstance(v, int) else "")
def test_legal_values(number, written, read, why):
    hart = Hart()
    if number <= 3:
        hart.write(0x300, FS)
    assert hart.write(number, written) == read, why


@pytest.mark.parametrize("number", [0x000, 0x004, 0x101, 0x107, 0x181, 0x200, 0x240, 0x310, 0x3A1, 0x3A4, 0x3C0, 0x600, 0x747,
                                    0x7B0, 0xB01, 0xC20, 0xC80, 0xDA0, 0xF10, 0xF16, 0xFFF])
def test_numbers_that_do_not_exist(number):
    assert Hart().read(number) is None
    assert Hart().write(number, 0) is None


@pytest.mark.parametrize("number", [0xC00, 0xC01, 0xC02, 0xC1F, 0xF11, 0xF12, 0xF13, 0xF14, 0xF15])
def test_read_only_ones_can_be_read_but_not_written(number):
    hart = Hart()
    assert hart.read(number) is not None
    assert hart.csr("csrrw", number, 0) is None
    assert hart.csr("csrrs", number, 0, rs1=5) is None          # writes, if only nothing: rs1 is not x0
    assert hart.csr("csrrsi", number, 0) is not None
    assert hart.csr("csrrci", number, 1) is None


@pytest.mark.parametrize("mode", [U, S, M])
@pytest.mark.parametrize(("number", "least"), [(0x100, S), (0x104, S), (0x140, S), (0x180, S), (0x10A, S), (0x300, M), (0x344, M),
                                               (0x30A, M), (0x3B0, M), (0xB00, M), (0xF14, M)])
def test_least_privilege(number, least, mode):
    assert (Hart(mode=mode).read(number) is not None) == (mode >= least)


@pytest.mark.parametrize("mode", [U, S, M])
@pytest.mark.parametrize("mcounteren", range(8))
@pytest.mark.parametrize("scounteren", range(8))
def test_counter_enables(mode, mcounteren, scounteren):
    hart = Hart(mode=mode, mcounteren=mcounteren, scounteren=scounteren)
    for n in range(3):
        allowed = mode == M or (mcounteren >> n & 1 and (mode == S or scounteren >> n & 1))
        assert (hart.read(0xC00 + n) is not None) == bool(allowed)
    assert (hart.read(0xC03) is not None) == (mode == M)


@pytest.mark.parametrize("mode", [S, M])
@pytest.mark.parametrize("status", [0, TVM])
def test_tvm(mode, status):
    assert (Hart(mode=mode, mstatus=XL | status).read(0x180) is None) == (mode == S and status == TVM)


@pytest.mark.parametrize(("mode", "menvcfg", "mcounteren", "allowed"), [
    (M, 0, 0, True), (S, 0, 7, False), (S, 1 << 63, 5, False), (S, 1 << 63, 2, True), (U, 1 << 63, 7, False)])
def test_stimecmp_needs_stce_and_tm(mode, menvcfg, mcounteren, allowed):
    hart = Hart(mode=mode, menvcfg=menvcfg, mcounteren=mcounteren)
    assert (hart.write(0x14D, 77) == 77) is allowed


@pytest.mark.parametrize("number", [1, 2, 3])
def test_floating_point_state_while_fs_is_off(number):
    for mode in (U, S, M):
        assert Hart(mode=mode).read(number) is None
        assert Hart(mode=mode, mstatus=XL | FS | SD).read(number) == 0


def test_supervisor_views_of_interrupts_by_delegation():
    hart = Hart()
    hart.write(0x304, MASK)
    hart.write(0x344, 0x222)
    assert (hart.read(0x104), hart.read(0x144)) == (0, 0)
    hart.write(0x303, 0x202)
    assert (hart.read(0x104), hart.read(0x144)) == (0x202, 0x202)
    hart.write(0x104, 0)
    assert hart.read(0x304) == 0x8A8                            # STIE and what is not delegated stays
    hart.write(0x144, 0)
    assert hart.read(0x344) == 0x220                            # of sip only SSIP can be written
    hart.write(0x144, 0x222)
    assert hart.read(0x344) == 0x222


def test_the_external_line_is_not_in_what_csrrs_changes():
    """3.1.9: csrrs and csrrc read it, but write back only the bit that firmware has set."""
    from dragoman.runtime.machine.riscv.interrupts import lower_line, raise_line
    hart = Hart()
    assert raise_line(hart.address, 0x200) == 1 and raise_line(hart.address, 0x200) == 0
    assert hart.csr("csrrs", 0x344, 2) == 0x200
    assert hart.read(0x344) == 0x202
    assert lower_line(hart.address, 0x200) == 1 and lower_line(hart.address, 0x200) == 0
    assert hart.read(0x344) == 2
    hart.csr("csrrs", 0x344, 0x200)
    raise_line(hart.address, 0x200)
    lower_line(hart.address, 0x200)
    assert hart.read(0x344) == 0x202
    hart.csr("csrrc", 0x344, 0x200)
    assert hart.read(0x344) == 2


def test_stip_is_read_only_with_sstc():
    hart = Hart()
    hart.write(0x344, 0x20)
    assert hart.read(0x344) == 0x20
    hart.write(0x30A, 1 << 63)
    assert hart.read(0x344) == 0                                # stimecmp is in the future
    hart.write(0x344, 0x20)
    assert hart.read(0x344) == 0
    hart.write(0x14D, 0)
    assert hart.read(0x344) == 0x20


@pytest.mark.parametrize(("number", "stop"), [(0xB00, 1), (0xB02, 4)])
def test_counters_count_are_set_and_stop(number, stop):
    hart = Hart()
    assert hart.write(number, 10**15) > 10**15
    assert hart.read(number + 0x100) > 10**15
    hart.write(0x320, stop)
    assert hart.read(number) == hart.read(number) > 10**15
    assert hart.write(number, 7) == 7 == hart.read(number + 0x100)
    hart.write(0x320, 0)
    assert 7 < hart.read(number) < 7 + 10**10
    assert hart.write(number, MASK) < 10**10                    # it overflows


def test_time_is_the_scaled_clock():
    before = clock()
    hart = Hart(clock_base=before, clock_scale=1 << 62, clock_offset=1000)
    assert 1000 <= hart.read(0xC01) <= 1000 + (clock() - before) // 4


def test_swap_reads_before_it_writes():
    hart = Hart(mscratch=5)
    hart.set_x(5, 9)
    assert hart.csr("csrrw", 0x340, 9, rd=5) == 5
    assert hart["mscratch"] == 9 and hart["pc"] == 0x8000_1004


@pytest.mark.parametrize(("operation", "operand", "after"), [
    ("csrrw", 3, 3), ("csrrs", 3, 0b1011), ("csrrc", 3, 0b1000), ("csrrwi", 17, 17), ("csrrsi", 17, 0b11010 | 1), ("csrrci", 2, 0b1000)])
def test_operations(operation, operand, after):
    hart = Hart(mscratch=0b1010)
    assert hart.csr(operation, 0x340, operand) == 0b1010
    assert hart["mscratch"] == after


def test_a_write_to_pmp_drops_translations(memory):
    hart = Hart()
    hart.write(0x3A0, 0x18)
    hart.write(0x3B0, 0)
    assert memory.forgotten == 2


def test_a_monitor_starts_harts_in_s_mode():
    hart = Hart(monitor=True)
    assert (hart["mode"], hart["medeleg"], hart["mideleg"], hart["mcounteren"]) == (S, 0xB1FF, 0x222, 7)
    assert hart.write(0x14D, 5) == 5
    assert hart["menvcfg"] == 1 << 63 | 1 << 61     # what the device tree tells of: Sstc, and Svadu alone, which is then always on


def test_accessed_bits_are_set_by_hardware_from_the_start():
    """xv6 has page tables without A and D and never touches ADUE. It starts on QEMU, too, where there is no Svade."""
    assert Hart()["menvcfg"] == 1 << 61


@pytest.mark.parametrize(("inhibit", "value"), [(0, 0), (0, ONES), (0, 1234), (4, 7)])
def test_what_is_written_to_minstret_is_read_by_the_next_instruction(inhibit, value):
    """Where instructions are counted: before each is executed (unprivileged manual, Zicsr: the write is done instead of the increment)."""
    hart = Hart(mcountinhibit=inhibit)
    cache = ctypes.create_string_buffer(CACHE_SIZE)
    hart["cache"] = ctypes.addressof(cache)
    ctypes.c_uint64.from_address(hart["cache"] + CACHE["counts"]).value = 1
    hart["instructions"] = 1001
    hart.csr("csrrw", 0xB02, value)
    hart["instructions"] += 1
    assert hart.read(0xB02) == value
    hart["instructions"] += 1
    assert hart.read(0xC02) == (value + (inhibit == 0)) % (1 << 64)


def test_without_svadu_there_is_no_adue():
    hart = Hart()
    csrs.reset(hart.address, 3, True, svadu=False)
    assert (hart["menvcfg"], hart["mhartid"]) == (1 << 63, 3)
    hart["mode"] = M
    assert hart.write(0x30A, 1 << 63 | 1 << 61) == 1 << 63
