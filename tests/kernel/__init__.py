"""Real kernels and the systems that they boot: fetched, packed, kept in the cache folder of tests/real/fetch.py."""
