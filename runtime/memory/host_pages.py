"""What a part of this process's memory is made of, as the host's tables say: pages in memory, copied ones, those of a file (proc_pid_smaps(5))."""

from __future__ import annotations

from typing import NamedTuple

PAGE_KB = 4


class HostPages(NamedTuple):
    """In pages: those that the host has given a place (`touched`); of them those that only this mapping has (`own`), and those of a file
    that is mapped privately, which all who map it share until they write (`shared`)."""

    touched: int
    shared: int
    own: int


def host_pages(start: int, end: int, private: bool) -> HostPages | None:
    """Of the mappings within these host addresses, `private` or not. None: the host does not tell.

    The host maps neighbours of what is read from a file along with it, if it has them in memory: so many have been touched at the most."""
    found, inside = {"Rss:": 0, "Anonymous:": 0, "Swap:": 0}, False
    try:
        with open("/proc/self/smaps") as file:
            for line in file:
                word, _, rest = line.partition(" ")
                if not word.endswith(":"):
                    first, last = word.split("-")
                    inside = start <= int(first, 16) and int(last, 16) <= end
                elif inside and word in found:
                    found[word] += int(rest.split()[0]) // PAGE_KB
    except OSError:
        return None
    touched = found["Rss:"] + found["Swap:"]
    shared = found["Rss:"] - found["Anonymous:"] if private else 0
    return HostPages(touched, shared, touched - shared)
