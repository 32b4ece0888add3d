"""Tests of guest processes: threads, signals, fork, exec and how they end."""
