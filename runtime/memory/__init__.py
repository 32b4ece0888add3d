"""Guest memory: a window of host memory, host address = base + guest address."""
