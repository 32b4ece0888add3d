"""Tests of the guest programs."""
