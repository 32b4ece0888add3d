"""Tests of the privileged architecture of RISC-V: CSRs, traps, interrupts, protection, contexts, exits."""
