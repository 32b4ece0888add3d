"""System calls that guest code makes without coming back to Python: arguments mean the same on the host."""

from __future__ import annotations

from dragoman.dbt.host.calls import DirectTable, clock_address
from dragoman.dbt.host.x86_64 import DIRECT, POINTERS_AT, WAITS_ON_WORD
from dragoman.dbt.state import register_offset
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.riscv64 import OWN_CALLS, hwprobe
from dragoman.runtime.process.native import layout
from dragoman.runtime.process.thread import A0, A7, CALL_SIZE

# Name, then for each argument: p a pointer, - not. What they write is no code, and no structure that differs.
ROWS = """
read -p- | write -p- | pread64 -p-- | pwrite64 -p-- | lseek --- | sched_yield | getrandom p--
getpid | gettid | getppid | getuid | geteuid | getgid | getegid | clock_gettime -p | gettimeofday pp | clock_getres -p
close - | dup3 --- | fcntl --- | ioctl --p | getdents64 -p- | ppoll p-pp- | pselect6 -ppppp | getcwd p- | umask - | fadvise64 ----
prlimit64 --pp |ftruncate -- | fsync - | fdatasync - | flock -- | getpgid - | getrusage -p | times p | sched_getaffinity --p | setitimer -pp
connect -p- | sendto -p--p- | recvfrom -p--pp | getsockname -pp | getpeername -pp | shutdown -- | listen -- | sendfile --p-
timerfd_settime --pp | timerfd_gettime -p | timer_settime --pp | timer_gettime -p | splice -p-p-- | copy_file_range -p-p--
nanosleep pp | clock_nanosleep --pp | futex p----- | wait4 -p-p | waitid --p-p | kill -- | tkill -- | tgkill ---
"""
# Done by compiled functions, or looked at before they are made directly.
SERVED = {name: getattr(layout, f"S_{word}") for name, word in zip(*[iter("""
kill KILL  tkill KILL  tgkill TGKILL  close CLOSE  dup3 DUP3  fcntl FCNTL  ioctl IOCTL  getdents64 LIST  pselect6 SELECT  prlimit64 LIMIT
rt_sigprocmask SIGPROCMASK  rt_sigaction SIGACTION  rt_sigreturn SIGRETURN
mmap MMAP  munmap MUNMAP  mprotect MPROTECT  brk BRK  madvise MADVISE
openat OPEN  newfstatat STAT  fstat FSTAT  faccessat ACCESS  readlinkat LINK
set_tid_address TID_ADDRESS  set_robust_list ROBUST  riscv_hwprobe HWPROBE  uname UNAME  rseq ABSENT  clock_gettime CLOCK
readv READV  writev WRITEV  epoll_ctl EPOLL_CTL  epoll_pwait EPOLL_PWAIT  clone CLONE  exit_group EXIT
""".split())] * 2)}


def table(window: int) -> DirectTable:
    """For guests whose memory has `window` bytes."""
    rows = {}
    for row in ROWS.replace("|", "\n").split("\n"):
        name, _, kinds = row.strip().partition(" ")
        if name:
            pointers = sum(1 << POINTERS_AT + n for n, kind in enumerate(kinds) if kind == "p")
            rows[NUMBER[name]] = DIRECT | pointers | NR[name] | (WAITS_ON_WORD if name == "futex" else 0)
    registers = [A7, A0, *range(A0, A0 + 6)]
    return DirectTable(window, tuple(register_offset("x", n) for n in registers), CALL_SIZE, rows)


def tell_services(block: layout.Block, cpu: str) -> None:
    """Into the block of a process whose CPU has these levels (options.cpu)."""
    numbers = NUMBER | OWN_CALLS
    for name, service in SERVED.items():
        at = layout.P_SERVICES + numbers[name]
        block[at] |= service << 8 * (at % 8)
    block[layout.P_CLOCK] = clock_address()
    for key in range(layout.HWPROBE_KEYS):
        block[layout.P_HWPROBE + 8 * key] = hwprobe(cpu, key) or 0


def leave_out(table: DirectTable, block: layout.Block, name: str) -> None:
    """This call comes to Python from now on."""
    table.leave_out(NUMBER[name])
    at = layout.P_SERVICES + NUMBER[name]
    block[at] &= ~(0xFF << 8 * (at % 8))
