"""Kinds of arguments for printing, where a call's own table (table.py) says less: what a pointer leads to, what a number means.

struct:NAME as in strace_structs.py, array:NAME:N (N: the argument with the count, or r for the result), strings, status, fds, word:NAME
(a number behind a pointer), address:N (a socket address whose length the pointer in argument N has), and those of table.py. A + is for
what is there only after the call.
"""

from __future__ import annotations

_ROWS = """
io_getevents ptr size size ptr struct:timespec
epoll_pwait fd array:epoll_event:r+ int int struct:sigset size
epoll_pwait2 fd array:epoll_event:r+ int struct:timespec struct:sigset size
ppoll array:pollfd:1+ uint struct:timespec struct:sigset size
pselect6 int fdset:0 fdset:0 fdset:0 struct:timespec ptr
pipe2 fds+ flags:pipe
epoll_create1 flags:epoll_create
inotify_init1 flags:inotify_init
timerfd_create enum:clock flags:timerfd
signalfd4 fd struct:sigset size flags:signalfd
socketpair enum:family flags:socket int fds+
accept fd address:2+ word:int+
accept4 fd address:2+ word:int+ flags:socket
getsockname fd address:2+ word:int+
getpeername fd address:2+ word:int+
recvfrom fd out size flags:msg address:5+ word:int+
sendmsg fd struct:msghdr flags:msg
recvmsg fd struct:msghdr+ flags:msg
dup3 fd fd flags:pipe
getcwd text+ size
getsockopt fd enum:level enum:so word:int+ word:int+
setsockopt fd enum:level enum:so word:int int
shutdown fd enum:shutdown
execve path strings strings_count
execveat at_fd path strings strings_count flags:at
wait4 int status+ flags:wait struct:rusage+
waitid enum:idtype int siginfo+ flags:wait struct:rusage+
getrusage enum:rusage_who struct:rusage+
times struct:tms+
sysinfo struct:sysinfo+
statfs path struct:statfs+
fstatfs fd struct:statfs+
statx at_fd path at flags:statx struct:statx+
faccessat at_fd path flags:access
faccessat2 at_fd path flags:access at
rt_sigaction signal struct:sigaction struct:sigaction+ int
rt_sigprocmask enum:how struct:sigset struct:sigset+ int
rt_sigpending struct:sigset+ int
rt_sigsuspend struct:sigset int
rt_sigtimedwait struct:sigset siginfo+ struct:timespec int
rt_sigqueueinfo int signal siginfo
rt_tgsigqueueinfo int int signal siginfo
sigaltstack struct:stack struct:stack+
timer_create enum:clock struct:sigevent word:int+
timer_settime int flags:timer struct:itimerspec struct:itimerspec+
timer_gettime int struct:itimerspec+
timerfd_settime fd flags:timer struct:itimerspec struct:itimerspec+
timerfd_gettime fd struct:itimerspec+
getitimer enum:itimer struct:itimerval+
setitimer enum:itimer struct:itimerval struct:itimerval+
clock_nanosleep enum:clock flags:timer struct:timespec struct:timespec+
utimensat at_fd path struct:timespecs at
clone3 struct:clone_args uint
unshare flags:clone
setns fd flags:clone
sched_setparam int word:int
sched_getparam int word:int+
sched_setscheduler int enum:policy word:int
sched_rr_get_interval int struct:timespec+
sched_getaffinity int size word:size+
sched_setaffinity int size word:size
getresuid word:int+ word:int+ word:int+
getresgid word:int+ word:int+ word:int+
getcpu word:int+ word:int+ ptr
futex ptr enum:futex uint futex_time ptr uint
openat2 at_fd path struct:open_how size
sendfile fd fd word:size size
copy_file_range fd word:size fd word:size size int
splice fd word:size fd word:size size flags:splice
mlockall flags:mlockall
memfd_create string flags:memfd
eventfd2 uint flags:eventfd
getrandom out size flags:random
inotify_add_watch fd path flags:inotify
fallocate fd flags:fallocate size size
flock fd flags:flock
getgroups int array:uint:r+
setgroups int array:uint:0
fadvise64 fd size size enum:fadvise
mount string name string flags:mount ptr
umount2 name flags:umount
prctl enum:prctl size size size size
"""
# name -> kinds of its arguments
KINDS: dict[str, tuple[str, ...]] = {row.split()[0]: tuple(row.split()[1:]) for row in _ROWS.strip().splitlines()}
