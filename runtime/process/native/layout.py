"""The words that a process and its threads share with the compiled functions of this folder."""

from __future__ import annotations

import ctypes

from dragoman.dbt.host.x86_64 import NOT_MADE
from dragoman.dbt.state import OFFSET
from dragoman.runtime.process.riscv64_frame import SIZE

S_THREAD = OFFSET["user2"]              # in the CPU state: address of the thread's block, 0: all exits are Python's

# --- a thread's block: what its signals are like. Blocked signals; those that were sent and wait here (SIGSEGV and SIGBUS);
# the alternate stack; a system call as safe_call takes it, and the mask that it sets; the process's block; a frame to be
# written, whose gaps stay zero, and one that was read.
T_MASK, T_HELD, T_STACK, T_STACK_FLAGS, T_STACK_SIZE, T_HOST_MASK, T_PROCESS, T_CALL = range(0, 64, 8)
T_OUT = T_CALL + 7 * 8
T_IN = T_OUT + SIZE
# A path as the guest has it, read in pieces that lie on one page each.
T_PATH, PATH_MAX, PIECE = T_IN + SIZE, 4096, 256
# What set_tid_address and set_robust_list were given.
T_CLEAR_TID = T_PATH + PATH_MAX + PIECE
T_ROBUST = T_CLEAR_TID + 8
THREAD_SIZE = T_ROBUST + 8

# --- a process's block: bytes of its window, the code that ends handlers, its DirectTable, its table of areas (mappings.py);
P_WINDOW, P_TRAMPOLINE, P_DIRECT, P_SPACE = range(0, 32, 8)
# the lowest descriptor that is the runtime's, the descriptor of -L's folder or -1, whether that folder is all there is (--rootfs),
# whether there has been one thread only, resources whose limits the host does not know;
P_OWN, P_ROOT, P_CONTAINED, P_ALONE, P_LIMITED = range(32, 72, 8)
# signals whose actions are known, those of which somebody wants to see the default action (Signals.catch), what the host does with others;
P_KNOWN, P_CAUGHT, P_ON_SIGNAL, P_ON_FAULT, P_RESTORE = range(72, 112, 8)
# what riscv_hwprobe says, by key; for each signal: handler, flags, mask; for each number of a system call: a byte, what serve.py does with it
HWPROBE_KEYS = 10
P_HWPROBE = 112
P_CLOCK = P_HWPROBE + 8 * HWPROBE_KEYS  # clock_gettime of the host's libc, which needs no call of the kernel mostly
# libc's _Fork while compiled code may call it, 0: Python forks; in a child whether Python has not met the fork yet (fork.py)
P_FORK, P_FORKED = P_CLOCK + 8, P_CLOCK + 16
FORKED, LOST = 1, 2                     # LOST: and it has no code cache of its own
P_ACTIONS = P_FORKED + 8
ACTION_SIZE, HIGHEST_SIGNAL = 24, 64
P_SERVICES = P_ACTIONS + ACTION_SIZE * (HIGHEST_SIGNAL + 1)
SERVICES = 512
P_GUARDED = P_SERVICES + SERVICES       # for each number: its arguments that may not be one of the runtime's descriptors, a bit for each
PROCESS_SIZE = P_GUARDED + SERVICES
# Looked at, and then made directly; done by native/signals.py and actions.py, memory.py, files.py, start.py, vectors.py, fork.py.
S_NONE, S_KILL, S_TGKILL, S_CLOSE, S_DUP3, S_FCNTL, S_IOCTL, S_LIST, S_SELECT, S_LIMIT, S_LOOKED_AT = range(11)
S_SIGPROCMASK, S_SIGACTION, S_SIGRETURN, S_MMAP, S_MUNMAP, S_MPROTECT, S_BRK, S_MADVISE = range(11, 19)
S_OPEN, S_STAT, S_FSTAT, S_ACCESS, S_LINK = range(19, 24)
S_TID_ADDRESS, S_ROBUST, S_HWPROBE, S_UNAME, S_ABSENT, S_CLOCK = range(24, 30)
S_READV, S_WRITEV, S_EPOLL_CTL, S_EPOLL_PWAIT, S_CLONE, S_EXIT = range(30, 36)
NOT_DONE = NOT_MADE                     # no result of any call: Python is to make it


class Block:
    """Words at an address, by offset; zero at first."""

    def __init__(self, size: int) -> None:
        self.words = (ctypes.c_uint64 * (size // 8))()
        self.address = ctypes.addressof(self.words)

    def __getitem__(self, offset: int) -> int:
        return self.words[offset >> 3]

    def __setitem__(self, offset: int, value: int) -> None:
        self.words[offset >> 3] = value
