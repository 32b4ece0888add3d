"""Which module has which system call: a program imports those whose calls it makes, and no others.

tests/runtime/test_homes.py holds this against the modules.
"""

from __future__ import annotations

from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.riscv64 import OWN_CALLS

_PACKAGE = "dragoman.runtime.process."
# What nearly every program has calls of: who forks imports them first, or each child would.
COMMON = tuple(_PACKAGE + name for name in ("ending", "execute", "futex", "signal_calls", "linux.memory", "linux.files", "linux.stat",
                                            "linux.identity", "linux.time"))
_ROWS = """
ending: exit exit_group wait4 waitid set_tid_address gettid
linux.memory: brk mmap munmap mprotect mremap madvise msync mlock mlock2 munlock mlockall munlockall mincore riscv_flush_icache
    riscv_hwprobe membarrier
linux.files: lseek pipe2 ftruncate fallocate flock fsync fdatasync sync syncfs dup sendfile splice tee copy_file_range fadvise64 readahead
    sync_file_range fchdir fchmod fchown read write getdents64 pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 vmsplice
    openat openat2 close close_range dup3 fcntl ioctl
linux.stat: statx statfs fstatfs faccessat faccessat2 getcwd fstat newfstatat readlinkat chdir
linux.identity: getpid getppid getuid geteuid getgid getegid getresuid getresgid setuid setgid setreuid setregid setresuid setresgid
    setfsuid setfsgid getgroups setgroups getpgid setpgid getsid setsid umask getrandom sysinfo getrusage getcpu sched_yield
    sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam sched_setparam sched_get_priority_max
    sched_get_priority_min sched_rr_get_interval sched_setattr sched_getattr getpriority setpriority ioprio_get ioprio_set capget capset
    personality sethostname setdomainname rseq uname prlimit64 getrlimit setrlimit
signal_calls: rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigreturn restart_syscall sigaltstack kill tkill
    tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
futex: futex set_robust_list get_robust_list
linux.time: clock_gettime clock_settime clock_getres clock_nanosleep nanosleep gettimeofday settimeofday times adjtimex clock_adjtime
clone: clone clone3
execute: execve execveat
timers: timer_create timer_delete timer_settime timer_gettime timer_getoverrun setitimer getitimer
linux.directories: mkdirat mknodat symlinkat unlinkat linkat renameat2 truncate fchmodat fchmodat2 fchownat utimensat setxattr lsetxattr
    fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr name_to_handle_at
    open_by_handle_at
linux.polling: ppoll epoll_create1 pselect6 epoll_ctl epoll_pwait epoll_pwait2
linux.network: socket socketpair bind listen accept accept4 connect getsockname getpeername shutdown sendto recvfrom sendmsg recvmsg
    sendmmsg recvmmsg setsockopt getsockopt
linux.events: eventfd2 signalfd4 timerfd_create timerfd_settime timerfd_gettime inotify_init1 inotify_add_watch inotify_rm_watch
    memfd_create pidfd_open pidfd_getfd fanotify_init fanotify_mark
linux.control: unshare prctl kcmp process_vm_readv process_vm_writev
linux.ipc: shmget semget semop semtimedop msgget msgctl msgsnd msgrcv mq_open mq_unlink mq_timedsend mq_timedreceive mq_getsetattr shmctl
    shmat shmdt semctl mq_notify
linux.aio: io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
linux.futex2: futex_wake futex_wait futex_waitv futex_requeue
linux.keys: add_key request_key keyctl
linux.mounts: mount umount2 pivot_root open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount chroot setns
linux.numa: set_mempolicy migrate_pages get_mempolicy mbind set_mempolicy_home_node move_pages
linux.advice: process_mrelease cachestat process_madvise remap_file_pages
linux.administration: swapon swapoff acct quotactl quotactl_fd vhangup reboot syslog lsm_list_modules lsm_get_self_attr lsm_set_self_attr
    landlock_create_ruleset landlock_add_rule landlock_restrict_self
linux.absent: io_uring_setup io_uring_enter io_uring_register bpf seccomp perf_event_open ptrace userfaultfd memfd_secret mseal
    init_module finit_module delete_module kexec_load kexec_file_load pkey_mprotect pkey_alloc pkey_free map_shadow_stack nfsservctl
    lookup_dcookie
"""


def homes() -> dict[int, str]:
    """Number of a call to the name of its module."""
    numbers, found, module = NUMBER | OWN_CALLS, {}, ""
    for word in _ROWS.split():
        if word.endswith(":"):
            module = _PACKAGE + word[:-1]
        else:
            found[numbers[word]] = module
    return found
