"""Tests of what shows a guest at work and at its end: core files, crash reports, --strace, perf's maps."""
