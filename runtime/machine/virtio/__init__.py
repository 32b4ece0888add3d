"""Virtio devices behind the mmio transport (Virtual I/O Device, OASIS, version 1.2)."""
