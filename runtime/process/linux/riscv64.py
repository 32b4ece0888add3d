"""What Linux on riscv64 has of its own: names, numbers, bits. What all asm-generic ABIs share is elsewhere."""

from __future__ import annotations

from dragoman.dbt.isa.levels import WITH_BITS

MACHINE = b"riscv64"            # uname
ELF_MACHINE = 243               # EM_RISCV
ELF_FLAGS_REFUSED = 0x8         # EF_RISCV_RVE: sixteen registers
# AT_HWCAP: single-letter extensions, of which Linux 6.12 shows I, M, A, F, D, C and V: B is in hwprobe alone.
HWCAP = sum(1 << ord(letter) - ord("A") for letter in "IMAFDC")
MINSIGSTKSZ = 2048              # AT_MINSIGSTKSZ

RISCV_HWPROBE, RISCV_FLUSH_ICACHE = 258, 259   # 244 + 14, 244 + 15
OWN_CALLS = {"riscv_hwprobe": RISCV_HWPROBE, "riscv_flush_icache": RISCV_FLUSH_ICACHE}

# riscv_hwprobe (Linux 6.12, arch/riscv/kernel/sys_hwprobe.c): key -> value, for options.cpu = rv64gc; Documentation/arch/riscv/hwprobe.rst
IMA_EXT_0 = 4
BITS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 35      # in IMA_EXT_0: ZBA, ZBB, ZBS, ZBC, ZICOND
BIT_MASKS = (3, 4, 5)           # keys of which a wanted value may be less than what there is
WHICH_CPUS = 1                  # a flag
HWPROBE = {
    0: 0,           # MVENDORID
    1: 0,           # MARCHID
    2: 0,           # MIMPID
    3: 1,           # BASE_BEHAVIOR: IMA
    IMA_EXT_0: 1 << 0 | 1 << 1 | 1 << 43 | 1 << 45,     # FD, C, and what C and D have of it: ZCA, ZCD
    5: 3,           # CPUPERF_0: misaligned accesses are fast
    6: 0,           # ZICBOZ_BLOCK_SIZE: none
    7: (1 << 38) - 1,     # HIGHEST_VIRT_ADDRESS
    8: 10_000_000,  # TIME_CSR_FREQ
    9: 3,           # MISALIGNED_SCALAR_PERF: fast
}


def hwprobe(cpu: str, key: int) -> int | None:
    """The value of a key on a CPU of these levels; None: no such key."""
    value = HWPROBE.get(key)
    return value | BITS if value is not None and key == IMA_EXT_0 and cpu == WITH_BITS else value
