"""The host's side of system calls: numbers of x86-64, a direct way to make a call that does not block, and fork."""

from __future__ import annotations

import _thread
import ctypes
import os

from dragoman.runtime.process.linux.generic import numbered

NR = numbered("""
0 read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
    ioctl pread64 pwrite64 readv writev access pipe select sched_yield mremap msync mincore madvise shmget shmat
    shmctl dup dup2 pause nanosleep getitimer alarm setitimer getpid sendfile socket connect accept sendto recvfrom
    sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt clone fork vfork
    execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd msgrcv msgctl fcntl flock fsync fdatasync
    truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink symlink readlink chmod fchmod
    chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo times ptrace getuid syslog getgid setuid setgid
    geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups setgroups setresuid getresuid setresgid
    getresgid getpgid setfsuid setfsgid getsid capget capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo
    rt_sigsuspend sigaltstack utime mknod uselib personality ustat statfs fstatfs sysfs getpriority setpriority
    sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min
    sched_rr_get_interval mlock munlock mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl
    adjtimex setrlimit chroot sync acct settimeofday mount umount2 swapon swapoff reboot sethostname setdomainname
    iopl ioperm create_module init_module delete_module get_kernel_syms query_module quotactl nfsservctl getpmsg
    putpmsg afs_syscall tuxcall security gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
    listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity
    sched_getaffinity set_thread_area io_setup io_destroy io_getevents io_submit io_cancel get_thread_area
    lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old remap_file_pages getdents64 set_tid_address
    restart_syscall semtimedop fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    clock_settime clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes vserver
    mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    kexec_load waitid add_key request_key keyctl ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch
    migrate_pages openat mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat linkat symlinkat readlinkat
    fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice tee sync_file_range vmsplice
    move_pages utimensat epoll_pwait signalfd timerfd_create eventfd fallocate timerfd_settime timerfd_gettime accept4
    signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open
    recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg
    setns getcpu process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp
    getrandom memfd_create kexec_file_load bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2
    pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount
    fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr
    quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease
    futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue
    statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
""")

NOT_MADE = -512  # result of Thread.call: a signal came first, nothing was done

# With the GIL held: cheaper, and nothing that another thread of this process must do first is waited for.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_bare_fork = getattr(_libc, "_Fork", None)      # glibc 2.34, musl 1.2.2
_waiting = ctypes.CDLL(None, use_errno=True).syscall
_waiting.restype = ctypes.c_long
_long, _errno = ctypes.c_long, ctypes.get_errno
_BYTES = bytes.__basicsize__ - 1  # where CPython keeps the contents of a bytes object


def address_of(data: bytes) -> int:
    """Where the contents lie, and a NUL behind them; valid while the caller holds `data`.

    A kernel call may also write there, if the object is fresh and nobody else's: bytes(n) with n > 1.
    """
    return id(data) + _BYTES


def call(number: int, *arguments: int) -> int:
    """Make a call of the runtime's own that does not wait for anybody; returns its result or -errno."""
    result = _syscall(_long(number), *map(_long, arguments))
    return -_errno() if result == -1 else result


def call_and_wait(number: int, *arguments: int) -> int:
    """As `call`, and other threads of this process run meanwhile."""
    result = _waiting(_long(number), *map(_long, arguments))
    return -_errno() if result == -1 else result


def fork_address() -> int:
    """Of libc's _Fork; 0: it has none."""
    return ctypes.cast(_bare_fork, ctypes.c_void_p).value or 0 if _bare_fork is not None else 0


def fork() -> int:
    """os.fork. The only thread of a process holds no locks of libc's or Python's that would have to be made anew: _Fork (POSIX.1-2024)
    tells libc its new thread id and runs none of what os.fork does for the sake of other threads, nor hooks of os.register_at_fork;
    all that makes memory the child's own, page by page. Raises OSError.
    """
    if _bare_fork is None or _thread._count():
        return os.fork()
    pid: int = _bare_fork()
    if pid < 0:
        raise OSError(_errno(), os.strerror(_errno()))
    return pid
