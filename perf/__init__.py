"""Workloads, measurement and reports: interpreted, translated, under QEMU and native, side by side."""
