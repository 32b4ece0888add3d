"""Names of flags and numbers, for printing system calls. The tables are the manual's, in the order they are printed."""

from __future__ import annotations

from dragoman.dbt.imports import IMPORTS

ESCAPES = {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 92: "\\\\"}


def _table(text: str, prefix: str = "") -> dict[int, str]:
    words = text.split()
    return {int(number, 0): prefix + name for number, name in zip(words[::2], words[1::2])}


def _count(text: str, prefix: str = "", start: int = 0) -> dict[int, str]:
    return {number: prefix + name for number, name in enumerate(text.split(), start)}


FLAGS = {
    "open": _table("""0o100 CREAT 0o200 EXCL 0o400 NOCTTY 0o1000 TRUNC 0o2000 APPEND 0o4000 NONBLOCK 0o4010000 SYNC
                      0o10000 DSYNC 0o20000 ASYNC 0o40000 DIRECT 0o20200000 TMPFILE 0o200000 DIRECTORY
                      0o400000 NOFOLLOW 0o1000000 NOATIME 0o2000000 CLOEXEC 0o10000000 PATH""", "O_"),
    "at": _table("0x100 SYMLINK_NOFOLLOW 0x200 EACCESS 0x400 SYMLINK_FOLLOW 0x800 NO_AUTOMOUNT 0x1000 EMPTY_PATH",
                 "AT_"),
    "prot": _table("0 NONE 1 READ 2 WRITE 4 EXEC 0x01000000 GROWSDOWN 0x02000000 GROWSUP", "PROT_"),
    "map": _table("""3 SHARED_VALIDATE 1 SHARED 2 PRIVATE 0x10 FIXED 0x20 ANONYMOUS 0x100 GROWSDOWN 0x800 DENYWRITE
                     0x2000 LOCKED 0x4000 NORESERVE 0x8000 POPULATE 0x20000 STACK 0x40000 HUGETLB
                     0x100000 FIXED_NOREPLACE""", "MAP_"),
    "mremap": _table("1 MAYMOVE 2 FIXED 4 DONTUNMAP", "MREMAP_"),
    "msync": _table("1 ASYNC 2 INVALIDATE 4 SYNC", "MS_"),
    "socket": _table("1 STREAM 2 DGRAM 3 RAW 5 SEQPACKET 0o4000 NONBLOCK 0o2000000 CLOEXEC", "SOCK_"),
    "msg": _table("""1 OOB 2 PEEK 4 DONTROUTE 8 CTRUNC 0x20 TRUNC 0x40 DONTWAIT 0x80 EOR 0x100 WAITALL 0x2000 ERRQUEUE
                     0x4000 NOSIGNAL 0x8000 MORE 0x10000 WAITFORONE 0x20000000 FASTOPEN
                     0x40000000 CMSG_CLOEXEC""", "MSG_"),
    "splice": _table("1 MOVE 2 NONBLOCK 4 MORE 8 GIFT", "SPLICE_F_"),
    "flock": _table("4 NB 8 UN 2 EX 1 SH", "LOCK_"),
    "timer": _table("1 ABSTIME", "TIMER_"),
    "rename": _table("1 NOREPLACE 2 EXCHANGE 4 WHITEOUT", "RENAME_"),
    "wait": _table("1 WNOHANG 2 WUNTRACED 4 WEXITED 8 WCONTINUED 0x01000000 WNOWAIT 0x20000000 __WNOTHREAD"
                   " 0x40000000 __WALL 0x80000000 __WCLONE"),
    "clone": _table("""0x100 VM 0x200 FS 0x400 FILES 0x800 SIGHAND 0x1000 PIDFD 0x2000 PTRACE 0x4000 VFORK 0x8000 PARENT
                       0x10000 THREAD 0x20000 NEWNS 0x40000 SYSVSEM 0x80000 SETTLS 0x100000 PARENT_SETTID
                       0x200000 CHILD_CLEARTID 0x400000 DETACHED 0x1000000 CHILD_SETTID 0x4000000 NEWUTS
                       0x8000000 NEWIPC 0x10000000 NEWUSER 0x20000000 NEWPID 0x40000000 NEWNET""", "CLONE_"),
}
ENUMS: dict[str, dict[int, str]] = {
    "whence": _count("SET CUR END DATA HOLE", "SEEK_"),
    "madvise": _table("""0 NORMAL 1 RANDOM 2 SEQUENTIAL 3 WILLNEED 4 DONTNEED 8 FREE 9 REMOVE 10 DONTFORK 11 DOFORK
                         12 MERGEABLE 13 UNMERGEABLE 14 HUGEPAGE 15 NOHUGEPAGE 16 DONTDUMP 17 DODUMP 18 WIPEONFORK
                         19 KEEPONFORK 20 COLD 21 PAGEOUT 22 POPULATE_READ 23 POPULATE_WRITE""", "MADV_"),
    "fcntl": _table("""0 DUPFD 1 GETFD 2 SETFD 3 GETFL 4 SETFL 5 GETLK 6 SETLK 7 SETLKW 8 SETOWN 9 GETOWN 10 SETSIG
                       11 GETSIG 15 SETOWN_EX 16 GETOWN_EX 36 OFD_GETLK 37 OFD_SETLK 38 OFD_SETLKW 1024 SETLEASE
                       1025 GETLEASE 1026 NOTIFY 1030 DUPFD_CLOEXEC 1031 SETPIPE_SZ 1032 GETPIPE_SZ 1033 ADD_SEALS
                       1034 GET_SEALS""", "F_"),
    "rlimit": _count("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO"
                     " RTTIME", "RLIMIT_"),
    "clock": _count("REALTIME MONOTONIC PROCESS_CPUTIME_ID THREAD_CPUTIME_ID MONOTONIC_RAW REALTIME_COARSE"
                    " MONOTONIC_COARSE BOOTTIME REALTIME_ALARM BOOTTIME_ALARM SGI_CYCLE TAI", "CLOCK_"),
    "family": _table("0 UNSPEC 1 UNIX 2 INET 10 INET6 16 NETLINK 17 PACKET 38 ALG 40 VSOCK", "AF_"),
    "level": _table("0 IP 1 SOCKET 6 TCP 17 UDP 41 IPV6 255 RAW 263 PACKET 270 NETLINK", "SOL_"),
    "epoll_ctl": _table("1 ADD 2 DEL 3 MOD", "EPOLL_CTL_"),
    "file_type": _table("1 S_IFIFO 2 S_IFCHR 4 S_IFDIR 6 S_IFBLK 8 S_IFREG 10 S_IFLNK 12 S_IFSOCK"),
    "futex": _table("0 WAIT 1 WAKE 3 REQUEUE 4 CMP_REQUEUE 5 WAKE_OP 6 LOCK_PI 7 UNLOCK_PI 8 TRYLOCK_PI 9 WAIT_BITSET"
                    " 10 WAKE_BITSET 11 WAIT_REQUEUE_PI 12 CMP_REQUEUE_PI 13 LOCK_PI2", "FUTEX_"),
    "itimer": _count("REAL VIRTUAL PROF", "ITIMER_"),
    "how": _count("BLOCK UNBLOCK SETMASK", "SIG_"),
}
SIGNALS = ("0 HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN"
           " TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS").split()
ENUMS["signal"] = {number: "SIG" + name for number, name in enumerate(SIGNALS) if number}


def signals(bits: int) -> list[str]:
    """Names of the signals in a set."""
    numbers = [number for number in range(1, 65) if bits >> number - 1 & 1]
    return [SIGNALS[number] if number < 32 else f"RT_{number - 32}" for number in numbers]


def enum(kind: str, value: int) -> str | None:
    """A name from a table that lies elsewhere."""
    if kind == "ioctl":
        with IMPORTS:
            from dragoman.runtime.process.linux.ioctl import NAMES
        return NAMES.get(value) or hex(value)
    if kind == "prctl":
        with IMPORTS:
            from dragoman.runtime.process.linux.control import PR_NUMBER, PR_POINTER
        name = PR_NUMBER.get(value) or PR_POINTER.get(value)
        return f"PR_{name}" if name else None
    return None
