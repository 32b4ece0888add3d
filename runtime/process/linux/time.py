"""System calls about time: clocks, sleeping, process times."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import passed

# struct timespec, timeval, timex and tms are the same on all 64-bit ABIs.
passed("""
    clock_gettime enum:clock struct:timespec+ | clock_settime enum:clock struct:timespec
    clock_getres enum:clock struct:timespec+ | clock_nanosleep enum:clock int struct:timespec struct:timespec+
    nanosleep struct:timespec struct:timespec+ | gettimeofday struct:timeval+ ptr | settimeofday struct:timeval ptr
    times ptr | adjtimex ptr | clock_adjtime enum:clock ptr
""")
