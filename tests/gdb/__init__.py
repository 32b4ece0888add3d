"""Tests of the gdb stub of machines, with gdb as its client, and beside QEMU's stub."""
