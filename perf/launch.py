"""Starts one program and measures it: wall and CPU time, peak memory. A process of its own, small on purpose.

The peak memory that Linux tells of a process counts what it was forked from, so the one that forks is small: no program
shows less than its 5 MB. Words: descriptor for the result, then the command.
"""

import _signal
import os
import sys
from time import perf_counter


def main(result: int, command: list[str]) -> None:
    """Writes "WALL CPU PEAK STATUS START" to the descriptor (seconds, seconds, KiB, as of os.waitpid, monotonic clock), and before that
    "error ERRNO" if the command could not be started."""
    os.set_inheritable(result, False)
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):      # Python ignores them, and an exec would hand that on
        _signal.signal(number, _signal.SIG_DFL)
    start = perf_counter()
    child = os.fork()
    if child == 0:
        try:
            os.execv(command[0], command)
        except OSError as error:
            os.write(result, b"error %d " % (error.errno or 0))
        os._exit(127)
    _, status, usage = os.wait4(child, 0)
    wall = perf_counter() - start
    cpu = usage.ru_utime + usage.ru_stime
    os.write(result, f"{wall:.6f} {cpu:.6f} {usage.ru_maxrss} {status} {start:.6f}".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
