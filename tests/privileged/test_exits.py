"""The hook: which exits it deals with itself, and with what the others reach Python."""

import ctypes

import pytest

from dragoman.dbt.state import ACCESS_WRITE, CACHE, CACHE_SIZE, EXITS, OFFSET
from dragoman.runtime.machine.riscv import exits
from dragoman.runtime.memory.frames import MEMORY, MEMORY_SIZE
from dragoman.runtime.memory.mmu import MMU
from tests.privileged.hart import FS, MASK, MIE, MPIE, PC, SIE, SPIE, SUM, TVM, TW, XL, Hart, M, S, U, csr_word

MTVEC = 0x8000_0000
MRET, SRET, WFI = 0x30200073, 0x10200073, 0x10500073


class Blocks:
    """The words of code cache, machine memory and MMU that the hook looks at; code and refusals are where a test says."""

    def __init__(self) -> None:
        self.cache, self.memory, self.mmu = (ctypes.create_string_buffer(size) for size in (CACHE_SIZE, MEMORY_SIZE, 4096))
        self.code: dict[int, bytes] = {}
        self.refusals: dict[int, int] = {}
        self.asked: list[tuple[int, ...]] = []

    def attach(self, made: Hart) -> Hart:
        made["cache"], made["user2"] = ctypes.addressof(self.cache), ctypes.addressof(self.memory)
        return made

    def fetch_code(self, state: int, pc: int) -> int:
        self.bytes = ctypes.create_string_buffer(self.code.get(pc, b""), 4)
        return ctypes.addressof(self.bytes) if pc in self.code else 0

    def explain(self, state: int, address: int, *access: int) -> int:
        self.asked.append((address, *access))
        return self.refusals.get(address, exits.NOT_REFUSED)


@pytest.fixture
def blocks(monkeypatch):
    made = Blocks()
    monkeypatch.setattr(exits, "fetch_code", made.fetch_code)
    monkeypatch.setattr(exits, "explain_access", made.explain)
    monkeypatch.setattr(exits, "explain_fetch", made.explain)
    monkeypatch.setattr(exits, "mmu_of", lambda state: ctypes.addressof(made.mmu))
    monkeypatch.setattr(exits, "is_watched", lambda memory, address: 0)
    return made


def put(block, offset, value):
    ctypes.c_int64.from_buffer(block, offset).value = value


def hart(**words):
    return Hart(**{"mtvec": MTVEC, **words})


def trap(made):
    """What M was told, or None if no trap was taken."""
    return (made["mcause"], made["mtval"], made["mepc"]) if made["pc"] == MTVEC else None


@pytest.mark.parametrize(("mode", "cause"), [(U, 8), (S, 9), (M, 11)])
def test_call(mode, cause):
    made = hart(mode=mode)
    assert made.leave(EXITS["syscall"]) == 1
    assert trap(made) == (cause, 0, PC)


@pytest.mark.parametrize(("mode", "python"), [(U, False), (S, True)])
def test_a_call_from_s_is_for_the_monitor_if_that_is_the_firmware(mode, python):
    made = Hart(monitor=True, mode=mode, stvec=0x4000)
    assert made.leave(EXITS["syscall"]) == (0 if python else 1)
    assert made["exit_reason"] == EXITS["service" if python else "syscall"]
    assert made["pc"] == (PC if python else 0x4000)


def test_breakpoint():
    made = hart(mode=S)
    assert made.leave(EXITS["breakpoint"]) == 1
    assert trap(made) == (3, 0, PC)


@pytest.mark.parametrize(("code", "value"), [("00000000", 0), ("0000", 0), ("ffffffff", MASK >> 32), ("6b000000", 0x6B), ("0082", 0x8200)])
def test_illegal_instruction_reports_its_bits(blocks, code, value):
    blocks.code[PC] = bytes.fromhex(code)
    made = hart(mode=U)
    assert made.leave(EXITS["illegal"]) == 1
    assert trap(made) == (2, value, PC)


def test_illegal_instruction_across_pages(blocks):
    blocks.code |= {0x1FFE: b"\x6b\x12", 0x2000: b"\x34\x56"}
    made = hart(pc=0x1FFE)
    made.leave(EXITS["illegal"])
    assert trap(made) == (2, 0x5634126B, 0x1FFE)


@pytest.mark.parametrize(("word", "cause"), [(0x1005252F, 4), (0x1000B02F, 4), (0x18B5252F, 6), (0x00B5252F, 6), (0x08B5352F, 6)])
def test_misaligned_atomics(blocks, word, cause):
    """lr.w and lr.d load; sc, amoadd and amoswap count as stores."""
    blocks.code[PC] = word.to_bytes(4, "little")
    made = hart(mode=U)
    assert made.leave(EXITS["misaligned"], 0x8001) == 1
    assert trap(made) == (cause, 0x8001, PC)


# word, mode, mstatus, what becomes of it: mode after, "illegal", "wait"
SYSTEM = [
    (MRET, M, 0, U), (MRET, S, 0, "illegal"), (SRET, S, 0, U), (SRET, U, 0, "illegal"), (WFI, S, 0, "wait"), (WFI, S, TW, "illegal"),
    (WFI, U, 0, "illegal"), (WFI, M, TW, "wait"), (0x12000073, S, 0, S), (0x12000073, S, TVM, "illegal"), (0x12000073, M, TVM, M),
    (0x12000073, U, 0, "illegal"), (0x16000073, S, TVM, "illegal"), (0x18000073, S, TVM, S), (0x18100073, U, 0, "illegal"),
    (0x00000013, M, 0, "illegal"), (0x30004073, M, 0, "illegal"), (0x10200173, M, 0, "illegal"), (csr_word("csrrs", 0x7C0, 0), M, 0, "illegal"),
    (csr_word("csrrs", 0x180, 0), S, TVM, "illegal"), (csr_word("csrrs", 0x180, 0), S, 0, S),
]


@pytest.mark.parametrize(("word", "mode", "status", "result"), SYSTEM)
def test_system(word, mode, status, result):
    made = hart(mode=mode, mstatus=XL | status, mepc=PC + 4, sepc=PC + 4)
    assert made.leave(EXITS["system"], word if word >> 31 == 0 else word - (1 << 32)) == (0 if result == "wait" else 1)
    if result == "illegal":
        assert trap(made) == (2, word, PC)
    elif result == "wait":
        assert (made["exit_reason"], made["pc"], made["mode"]) == (EXITS["wait"], PC + 4, mode)
    else:
        assert (made["mode"], made["pc"]) == (result, PC + 4)


@pytest.mark.parametrize(("rs1", "rs2", "flushed"), [(0, 0, (-1, -1)), (10, 0, (0x7FFF_F000, -1)), (0, 11, (-1, 0x2345)),
                                                 (10, 11, (0x7FFF_F000, 0x2345))])
@pytest.mark.parametrize("funct7", [0b0001001, 0b0001011])
def test_fences_of_translations(memory, funct7, rs1, rs2, flushed):
    made = hart(mode=S)
    made.set_x(10, 0x7FFF_F123)
    made.set_x(11, 0x1_2345)
    assert made.leave(EXITS["system"], funct7 << 25 | rs2 << 20 | rs1 << 15 | 0x73) == 1
    assert memory.flushed == [flushed]


def test_wfi_goes_on_with_what_is_enabled_one_by_one():
    made = hart(mode=S, mie=0x20, mip=0x20, mideleg=0x20)               # SIE is off: it is not taken
    assert made.leave(EXITS["system"], WFI) == 1
    assert (made["pc"], made["mode"]) == (PC + 4, S)
    made["mstatus"] |= SIE
    made["stvec"] = 0x4000
    assert made.leave(EXITS["system"], WFI) == 1
    assert (made["pc"], made["sepc"], made["scause"]) == (0x4000, PC + 8, 1 << 63 | 5)


@pytest.mark.parametrize(("word", "words", "after"), [
    (csr_word("csrrsi", 0x100, 2), dict(mode=S, stvec=0x4000), PC + 4),                             # sstatus.SIE on
    (csr_word("csrrw", 0x104, 5), dict(mode=S, mie=0, mstatus=XL | SIE, stvec=0x4000), PC + 4),      # sie
    (SRET, dict(mode=S, mstatus=XL | SPIE, sepc=0x9000, stvec=0x4000), 0x9000)])
def test_an_interrupt_that_falls_due_is_taken_behind_the_instruction(word, words, after):
    made = hart(**{"mie": 2, "mip": 2, "mideleg": 2, **words})
    made.set_x(5, 2)
    assert made.leave(EXITS["system"], word) == 1
    assert (made["pc"], made["sepc"], made["scause"]) == (0x4000, after, 1 << 63 | 1)


def test_a_context_that_changes_is_selected(memory):
    made = hart(mode=S, satp=8 << 60 | 1)
    for number, value in ((0x100, SUM | FS), (0x100, 0), (0x180, 8 << 60 | 2), (0x140, 5)):
        made.set_x(5, value)
        made.leave(EXITS["system"], csr_word("csrrw", number, 5))
        assert made["view_key"] == made.key()
    assert len(memory.selected) == 3


# --- memory

@pytest.mark.parametrize(("why", "result"), [("NOT_REFUSED", "again"), ("REFUSED_FAULT", "trap"), ("REFUSED_DEVICE", "device"),
                                             ("REFUSED_CROSSING", "device")])
def test_refused_access(blocks, why, result):
    from dragoman.runtime.memory import refusals
    made = hart(mode=S, access=8 | ACCESS_WRITE)
    blocks.refusals[0x5000] = getattr(refusals, why)
    put(blocks.mmu, MMU["cause"], 15)
    put(blocks.mmu, MMU["value"], 0x5004)
    assert made.leave(EXITS["memory"], 0x5000) == (0 if result == "device" else 1)
    assert blocks.asked == [(0x5000, 8 | ACCESS_WRITE)]
    assert trap(made) == ((15, 0x5004, PC) if result == "trap" else None)
    assert made["exit_reason"] == EXITS["device" if result == "device" else "memory"]


@pytest.mark.parametrize(("pc", "refused", "why", "told"), [
    (0x3000, 0x3000, "REFUSED_FAULT", (12, 0x777, 0x3000)), (0x3FFE, 0x4000, "REFUSED_FAULT", (12, 0x777, 0x3FFE)),
    (0x3000, 0x3000, "REFUSED_DEVICE", (1, 0x3000, 0x3000)), (0x3FFE, 0x4000, "REFUSED_DEVICE", (1, 0x4000, 0x3FFE)),
    (0x3000, 0, "NOT_REFUSED", None)])
def test_refused_fetch(blocks, pc, refused, why, told):
    from dragoman.runtime.memory import refusals
    blocks.refusals[refused] = getattr(refusals, why)
    put(blocks.mmu, MMU["cause"], 12)
    put(blocks.mmu, MMU["value"], 0x777)
    made = hart(mode=S, pc=pc)
    assert made.leave(EXITS["fetch"], pc) == 1
    assert trap(made) == told


@pytest.mark.parametrize("dirty", [0, 3])
def test_fence_of_code(blocks, dirty):
    made = blocks.attach(hart())
    put(blocks.memory, MEMORY["dirty_code"], dirty)
    assert made.leave(EXITS["code_changed"]) == (0 if dirty else 1)
    assert (made["pc"], made["exit_reason"]) == (PC + 4, EXITS["code_changed"])


# --- polls

@pytest.mark.parametrize(("where", "asked"), [(None, False), ("pending", True), ("request", True), ("stop", True), ("ask", True)])
def test_a_poll_takes_interrupts_and_then_serves_python(blocks, where, asked):
    made = blocks.attach(hart(mode=U, mie=0x80, mtimecmp=0, clock_scale=1 << 40))
    if where in ("pending", "request"):
        made[where] = 2
    elif where:
        put(blocks.cache, CACHE[where], 2)
    assert made.leave(EXITS["poll"]) == (0 if asked else 1)
    assert trap(made) == (1 << 63 | 7, 0, PC)
    assert made["mip"] == 0x80 and made["deadline"] == MASK >> 1


def test_a_check_takes_interrupts():
    made = hart(mode=M, mie=8, mip=8, mstatus=XL | MIE)
    assert made.leave(EXITS["check"]) == 1
    assert trap(made) == (1 << 63 | 3, 0, PC) and made["mstatus"] & (MIE | MPIE) == MPIE


@pytest.mark.parametrize("reason", ["miss", "emulate", "fault", "full", "count", "hot", "device", "wait", "service", "stuck"])
def test_what_is_python_s(reason):
    made = hart()
    assert made.leave(EXITS[reason]) == 0
    assert (made["exit_reason"], made["pc"]) == (EXITS[reason], PC)


def test_exits_are_counted():
    made = hart()
    for reason in ("hot", "hot", "syscall"):
        made.leave(EXITS[reason])
    assert {name: made[f"stat_exit_{name}"] for name in EXITS if made[f"stat_exit_{name}"]} == {"hot": 2, "syscall": 1}
    made.leave(EXITS["system"], SRET)
    assert (made["stat_system_sret"], made["stat_system_csr"]) == (1, 0)
    assert OFFSET["stat_exit_stuck"] == exits.STAT_EXITS + 8 * EXITS["stuck"]


@pytest.mark.parametrize("value", [4 << 5, 7 << 5])
def test_a_rounding_mode_that_hosts_lack_is_the_oracle_s(value):
    made = hart(mode=U, mstatus=XL | FS)
    made.set_x(5, value)
    assert made.leave(EXITS["system"], csr_word("csrrw", 3, 5)) == 0
    assert (made["exit_reason"], made["pc"], made["frm"]) == (EXITS["emulate"], PC + 4, value >> 5)      # from the next one on


@pytest.mark.parametrize(("flags", "mode", "host"), [(0x10, 0, 0x01), (8, 1, 0x6004), (4, 2, 0x2008), (2, 3, 0x4010), (0x1F, 0, 0x3D),
                                                   (1, 1, 0x6020)])
def test_floating_point_state_is_the_host_s(flags, mode, host):
    made = hart(mstatus=XL | FS, mxcsr=0x1F80)
    assert made.write(0x003, mode << 5 | flags) == mode << 5 | flags
    assert made["mxcsr"] == 0x1F80 | host
    assert (made.read(0x001), made.read(0x002)) == (flags, mode)
