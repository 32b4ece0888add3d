"""The privileged architecture of RISC-V: control registers, traps, firmware calls and the board."""
