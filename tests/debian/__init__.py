"""Debian's riscv64 compilers, tools, servers and language runtimes at work, with results equal to native ones or QEMU's."""
