"""Devices, bus, events, boot files and device tree of the `virt` board."""
