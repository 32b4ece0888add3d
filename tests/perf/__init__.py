"""Tests of measurements: running, comparing, summing up, showing."""
