"""Tests of the gdb stub of processes, with gdb as its client and with bare packets."""
