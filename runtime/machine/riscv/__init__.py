"""What machine mode knows of RISC-V: the privileged architecture and the `virt` board."""
