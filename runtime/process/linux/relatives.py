"""Other guest processes whose memory can be reached: children of the same start of the emulator, with the same window.

The kernel gives each host program 16 random bytes (AT_RANDOM, getauxval(3)); a fork's child keeps them, and our exec stays in
the process. Whoever has ours at the same place has its guest memory where ours is.
"""

from __future__ import annotations

import ctypes
import os
from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of, call

AT_RANDOM, SIZE = 25, 16
EPERM, EFAULT = 1, 14
IOVEC = Struct("<QQ")
_getauxval = ctypes.PyDLL(None).getauxval
_getauxval.restype, _getauxval.argtypes = ctypes.c_ulong, [ctypes.c_ulong]


def reach(pid: int) -> int:
    """0 if the memory of this process (or of that with this thread) can be reached, else -errno."""
    if pid == os.getpid():
        return 0
    ours = _getauxval(AT_RANDOM)
    theirs = bytes(SIZE)
    here, there = IOVEC.pack(address_of(theirs), SIZE), IOVEC.pack(ours, SIZE)
    result = call(NR["process_vm_readv"], pid, address_of(here), 1, address_of(there), 1, 0)
    if result < 0:
        return -EPERM if result == -EFAULT else result
    return 0 if theirs == ctypes.string_at(ours, SIZE) else -EPERM
