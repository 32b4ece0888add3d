"""Real programs of Debian riscv64, fetched where that can be done."""
