"""A plain walker of RISC-V page tables, straight from the Privileged Architecture (version 20240411, 11.3.2), for comparison.

Shares nothing with the product: memory is a bytearray, entries are integers, an access is a dictionary of what the manual names.
"""

from __future__ import annotations

from dataclasses import dataclass

PAGESIZE, PTESIZE = 4096, 8
U, S, M = 0, 1, 3
LEVELS = {8: 3, 9: 4}          # satp.MODE: Sv39, Sv48
PAGE_FAULT = {"fetch": 12, "load": 13, "store": 15}
ACCESS_FAULT = {"fetch": 1, "load": 5, "store": 7}


@dataclass
class Context:
    """What an access depends on, beside memory."""
    mode: int
    satp: int = 0
    SUM: bool = False
    MXR: bool = False
    MPRV: bool = False
    MPP: int = 0
    ADUE: bool = True


class Trap(Exception):
    """The cause as xcause has it."""


class PlainMemory:
    """RAM from `base` on."""

    def __init__(self, base: int, size: int):
        self.base, self.data = base, bytearray(size)

    def holds(self, address: int) -> bool:
        return self.base <= address < self.base + len(self.data)

    def read_pte(self, address: int) -> int:
        at = address - self.base
        return int.from_bytes(self.data[at:at + PTESIZE], "little")

    def write_pte(self, address: int, pte: int) -> None:
        at = address - self.base
        self.data[at:at + PTESIZE] = pte.to_bytes(PTESIZE, "little")


def bits(value: int, high: int, low: int) -> int:
    return value >> low & (1 << high - low + 1) - 1


def translate(memory: PlainMemory, context: Context, va: int, access: str) -> int:
    """The physical address of an access ("load", "store", "fetch"); raises Trap. `va` is unsigned."""
    mode = context.MPP if context.MPRV and access != "fetch" else context.mode
    scheme = bits(context.satp, 63, 60)
    if mode == M or scheme == 0:
        if va >> 56:
            raise Trap(ACCESS_FAULT[access])
        return va
    levels = LEVELS[scheme]
    top = 12 + 9 * levels - 1
    if bits(va, 63, top) not in (0, (1 << 64 - top) - 1):
        raise Trap(PAGE_FAULT[access])
    # 1. Let a be satp.ppn × PAGESIZE, and let i = LEVELS-1.
    a, i = bits(context.satp, 43, 0) * PAGESIZE, levels - 1
    while True:
        # 2. Let pte be the value of the PTE at address a + va.vpn[i] × PTESIZE.
        place = a + bits(va, 20 + 9 * i, 12 + 9 * i) * PTESIZE
        if not memory.holds(place):
            raise Trap(ACCESS_FAULT[access])
        pte = memory.read_pte(place)
        v, r, w, x, u, accessed, dirty = (bool(pte >> n & 1) for n in (0, 1, 2, 3, 4, 6, 7))
        # 3. If pte.v = 0, or if pte.r = 0 and pte.w = 1, or if any reserved bits or encodings are set: page fault.
        if not v or (not r and w) or bits(pte, 63, 54):
            raise Trap(PAGE_FAULT[access])
        # 4. If pte.r = 1 or pte.x = 1, go to step 5. Otherwise, this PTE is a pointer to the next level. Let i = i - 1.
        if r or x:
            break
        if u or accessed or dirty:          # 11.3.1: reserved in non-leaf PTEs
            raise Trap(PAGE_FAULT[access])
        i -= 1
        if i < 0:
            raise Trap(PAGE_FAULT[access])
        a = bits(pte, 53, 10) * PAGESIZE
    # 5. A leaf PTE has been found: r, w, x and u bits, current privilege mode, SUM and MXR.
    allowed = {"load": r or (context.MXR and x), "store": w, "fetch": x}[access]
    if mode == U and not u:
        allowed = False
    if mode == S and u and (access == "fetch" or not context.SUM):
        allowed = False
    if not allowed:
        raise Trap(PAGE_FAULT[access])
    # 6. If i > 0 and pte.ppn[i-1:0] ≠ 0, this is a misaligned superpage.
    if i > 0 and bits(pte, 10 + 9 * i - 1, 10):
        raise Trap(PAGE_FAULT[access])
    # 7. If pte.a = 0, or if the access is a store and pte.d = 0: page fault (Svade), or set them (Svadu).
    wanted = pte | 1 << 6 | (access == "store") << 7
    if wanted != pte:
        if not context.ADUE:
            raise Trap(PAGE_FAULT[access])
        memory.write_pte(place, wanted)
    # 8. pa.pgoff = va.pgoff; a superpage translation takes pa.ppn[i-1:0] from va.vpn[i-1:0].
    span = 12 + 9 * i
    return bits(pte, 53, 10 + 9 * i) << span | bits(va, span - 1, 0)
