"""Machines: a virtual board with CPUs, memory and devices, on which a guest's kernel runs."""
