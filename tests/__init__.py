"""Tests: rows of data run on every engine, tests of each part, guests, real programs, layering."""
