"""Jump caches of views hold kernels' addresses, which are negative as 64-bit numbers."""

import ctypes

from dragoman.dbt import cache_admin
from dragoman.dbt.state import CACHE, CACHE_SIZE, EMPTIED


def test_emptying_forgets_the_addresses_of_kernels():
    """A machine died of code that was translated before the cache had been emptied."""
    control = (ctypes.c_int64 * (CACHE_SIZE // 8))()
    control[CACHE["jump_mask"] // 8] = 3
    table = (ctypes.c_int64 * 8)(EMPTIED, 0, -0x7F00_0000, 0x6000_1000, 0x1_0000, 0x6000_2000, 0, 0)
    cache_admin.clear_jump_cache(ctypes.addressof(control), ctypes.addressof(table))
    # The first entry is of address 0 and of all that was never written: its key is of another.
    assert list(table[::2]) == [0 ^ EMPTIED, 2 ^ EMPTIED, 4 ^ EMPTIED, 0]
