"""System calls whose result is a descriptor for events: eventfd, timerfd, signalfd, inotify, pidfd; memfd."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import passed

passed("""
    eventfd2 uint flags:open -> fd | signalfd4 fd struct:sigset size flags:open -> fd
    timerfd_create enum:clock flags:open -> fd | timerfd_settime fd int struct:itimerspec struct:itimerspec
    timerfd_gettime fd struct:itimerspec | inotify_init1 flags:open -> fd | inotify_add_watch fd path uint
    inotify_rm_watch fd int | memfd_create string uint -> fd | pidfd_open int flags:open -> fd
    pidfd_send_signal fd int ptr uint | pidfd_getfd fd fd uint -> fd | fanotify_init uint flags:open -> fd
    fanotify_mark fd uint size at_fd path
""")
