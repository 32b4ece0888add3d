"""What Linux on riscv64 has of its own: names, numbers, bits. What all asm-generic ABIs share is elsewhere."""

from __future__ import annotations

MACHINE = b"riscv64"            # uname
ELF_MACHINE = 243               # EM_RISCV
ELF_FLAGS_REFUSED = 0x8         # EF_RISCV_RVE: sixteen registers
HWCAP = sum(1 << ord(letter) - ord("A") for letter in "IMAFDC")  # AT_HWCAP: single-letter extensions
MINSIGSTKSZ = 2048              # AT_MINSIGSTKSZ

RISCV_HWPROBE, RISCV_FLUSH_ICACHE = 258, 259   # 244 + 14, 244 + 15

# riscv_hwprobe: key -> value; Documentation/arch/riscv/hwprobe.rst
HWPROBE = {
    0: 0,           # MVENDORID
    1: 0,           # MARCHID
    2: 0,           # MIMPID
    3: 1,           # BASE_BEHAVIOR: IMA
    4: 1 << 0 | 1 << 1,   # IMA_EXT_0: FD, C
    5: 3,           # CPUPERF_0: misaligned accesses are fast
    6: 0,           # ZICBOZ_BLOCK_SIZE: none
    7: (1 << 38) - 1,     # HIGHEST_VIRT_ADDRESS
    8: 10_000_000,  # TIME_CSR_FREQ
    9: 3,           # MISALIGNED_SCALAR_PERF: fast
    10: 4,          # MISALIGNED_VECTOR_PERF: unsupported
}
