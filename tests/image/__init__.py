"""Tests of linked images of the engine's own code."""
