"""Virtual devices of a board: each is a register window, an interrupt line and nothing else."""
