"""The Python API of machines."""
