"""Guest memory, the loader and system calls, without a translator."""
