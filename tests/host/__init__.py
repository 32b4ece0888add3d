"""Tests of the native code between Python and guest code."""
