"""Instruction sets: a folder each, which says what instructions mean and nothing else."""
