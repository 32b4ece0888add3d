"""Tests of the memory subsystem: walks, TLB, shadow page tables, physical memory."""
