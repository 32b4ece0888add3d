"""Tests of the virtio devices, with a driver written from the specification."""
