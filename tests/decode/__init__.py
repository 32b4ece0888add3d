"""Tests of the decoder and of the compiled functions that it is made of."""
