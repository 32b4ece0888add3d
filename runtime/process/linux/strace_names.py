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
    "pipe": _table("0o4000 NONBLOCK 0o40000 DIRECT 0o2000000 CLOEXEC", "O_"),
    "epoll_create": _table("0o2000000 CLOEXEC", "EPOLL_"),
    "inotify_init": _table("0o4000 NONBLOCK 0o2000000 CLOEXEC", "IN_"),
    "timerfd": _table("0o4000 NONBLOCK 0o2000000 CLOEXEC", "TFD_"),
    "signalfd": _table("0o4000 NONBLOCK 0o2000000 CLOEXEC", "SFD_"),
    "eventfd": _table("1 SEMAPHORE 0o4000 NONBLOCK 0o2000000 CLOEXEC", "EFD_"),
    "statx": _table("0x7ff BASIC_STATS 1 TYPE 2 MODE 4 NLINK 8 UID 0x10 GID 0x20 ATIME 0x40 MTIME 0x80 CTIME 0x100 INO 0x200 SIZE"
                    " 0x400 BLOCKS 0x800 BTIME 0x1000 MNT_ID 0x2000 DIOALIGN", "STATX_"),
    "access": _table("0 F_OK 4 R_OK 2 W_OK 1 X_OK"),
    "mlockall": _table("1 CURRENT 2 FUTURE 4 ONFAULT", "MCL_"),
    "memfd": _table("1 CLOEXEC 2 ALLOW_SEALING 4 HUGETLB 8 NOEXEC_SEAL 0x10 EXEC", "MFD_"),
    "random": _table("1 NONBLOCK 2 RANDOM 4 INSECURE", "GRND_"),
    "inotify": _table("1 ACCESS 2 MODIFY 4 ATTRIB 8 CLOSE_WRITE 0x10 CLOSE_NOWRITE 0x20 OPEN 0x40 MOVED_FROM 0x80 MOVED_TO 0x100 CREATE"
                      " 0x200 DELETE 0x400 DELETE_SELF 0x800 MOVE_SELF 0x1000000 ONLYDIR 0x2000000 DONT_FOLLOW 0x20000000 MASK_ADD"
                      " 0x80000000 ONESHOT", "IN_"),
    "fallocate": _table("1 KEEP_SIZE 2 PUNCH_HOLE 8 COLLAPSE_RANGE 0x10 ZERO_RANGE 0x20 INSERT_RANGE 0x40 UNSHARE_RANGE", "FALLOC_FL_"),
    "mount": _table("1 RDONLY 2 NOSUID 4 NODEV 8 NOEXEC 0x10 SYNCHRONOUS 0x20 REMOUNT 0x400 NOATIME 0x1000 BIND 0x2000 MOVE 0x4000 REC"
                    " 0x8000 SILENT 0x20000 UNBINDABLE 0x40000 PRIVATE 0x80000 SLAVE 0x100000 SHARED 0x200000 RELATIME", "MS_"),
    "umount": _table("1 MNT_FORCE 2 MNT_DETACH 4 MNT_EXPIRE 8 UMOUNT_NOFOLLOW"),
    "epoll": _table("1 IN 2 PRI 4 OUT 8 ERR 0x10 HUP 0x40 RDNORM 0x80 RDBAND 0x100 WRNORM 0x200 WRBAND 0x400 MSG 0x2000 RDHUP"
                    " 0x10000000 EXCLUSIVE 0x20000000 WAKEUP 0x40000000 ONESHOT 0x80000000 ET", "EPOLL"),
    "poll": _table("1 IN 2 PRI 4 OUT 8 ERR 0x10 HUP 0x20 NVAL 0x40 RDNORM 0x80 RDBAND 0x100 WRNORM 0x200 WRBAND 0x2000 RDHUP", "POLL"),
    "sa": _table("1 NOCLDSTOP 2 NOCLDWAIT 4 SIGINFO 0x08000000 ONSTACK 0x10000000 RESTART 0x40000000 NODEFER 0x80000000 RESETHAND", "SA_"),
    "ss": _table("1 ONSTACK 2 DISABLE 0x80000000 AUTODISARM", "SS_"),
    "resolve": _table("1 NO_XDEV 2 NO_MAGICLINKS 4 NO_SYMLINKS 8 BENEATH 0x10 IN_ROOT 0x20 CACHED", "RESOLVE_"),
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
    "shutdown": _count("RD WR RDWR", "SHUT_"),
    "so": _table("1 DEBUG 2 REUSEADDR 3 TYPE 4 ERROR 5 DONTROUTE 6 BROADCAST 7 SNDBUF 8 RCVBUF 9 KEEPALIVE 10 OOBINLINE 12 PRIORITY"
                 " 13 LINGER 15 REUSEPORT 16 PASSCRED 17 PEERCRED 18 RCVLOWAT 19 SNDLOWAT 20 RCVTIMEO 21 SNDTIMEO 30 ACCEPTCONN"
                 " 38 PROTOCOL 39 DOMAIN", "SO_"),
    "idtype": _table("0 P_ALL 1 P_PID 2 P_PGID 3 P_PIDFD"),
    "rusage_who": _table("0 SELF -1 CHILDREN 1 THREAD", "RUSAGE_"),
    "policy": _table("0 OTHER 1 FIFO 2 RR 3 BATCH 5 IDLE 6 DEADLINE", "SCHED_"),
    "fadvise": _count("NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED NOREUSE", "POSIX_FADV_"),
    "notify": _table("0 SIGNAL 1 NONE 2 THREAD 4 THREAD_ID", "SIGEV_"),
    "lock": _table("0 F_RDLCK 1 F_WRLCK 2 F_UNLCK"),
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
