"""What the host's kernel shows others of the process (ps, /proc/PID/cmdline): the guest's name, arguments and environment."""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.memory.space import AddressSpace
    from dragoman.runtime.process.elf import Image

PR_SET_NAME, PR_SET_MM, PR_SET_MM_MAP = 15, 35, 14
NAME_SIZE = 15                      # TASK_COMM_LEN without the NUL
MAP = Struct("<11QQII")             # struct prctl_mm_map
NO_FILE = 0xFFFF_FFFF
# Fields of /proc/self/stat, counted from 1 (proc(5)), in the order of the structure; between START_BRK and START_STACK is the heap's end.
START_CODE, END_CODE, START_STACK, START_DATA, END_DATA, START_BRK = 26, 27, 28, 45, 46, 47
_host: list[int] = []               # those of the host process, which stay


def show(memory: AddressSpace, image: Image, executed_as: bytes) -> None:
    """Tell the kernel where the arguments lie. `image.shown`: whether it takes them from there from now on (it needs CONFIG_CHECKPOINT_RESTORE)."""
    name = os.path.basename(executed_as)[:NAME_SIZE] + b"\0"
    call(NR["prctl"], PR_SET_NAME, address_of(name))
    try:
        if not _host:
            with open("/proc/self/stat", "rb", buffering=0) as file:
                fields = file.readall().rpartition(b") ")[2].split()
            _host[:] = [int(fields[number - 3]) for number in (START_CODE, END_CODE, START_DATA, END_DATA, START_BRK, START_STACK)]
    except (OSError, IndexError):
        return                      # no /proc in this root
    # The host's heap moves: mm_struct's brk must stay what it is.
    fixed, stack = _host[:5], _host[5]
    places = (memory.base + address for address in (*image.argument_bounds, *image.environment_bounds))
    request = MAP.pack(*fixed, call(NR["brk"], 0), stack, *places, 0, 0, NO_FILE)
    image.shown = call(NR["prctl"], PR_SET_MM, PR_SET_MM_MAP, address_of(request), len(request), 0) == 0
