"""RISC-V: RV64GC as user mode sees it."""
