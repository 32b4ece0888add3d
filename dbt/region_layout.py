"""How the table of compiled regions lies in memory, and what is asked of it, as region_table.py and region_install.py both see it."""

from __future__ import annotations

from dragoman.dbt.state import PAGE_ROWS

# Header: end of the records in use, end of the table (addresses), next free byte of region code, regions made, dropped.
END, LIMIT, CODE_CURSOR, MADE, DROPPED, PAGES = 0, 8, 16, 24, 32, 64
HEADER_SIZE = PAGES + PAGE_ROWS
# Record: size in bytes, number (0: dropped), ranges, entries.
SIZE, NUMBER, RANGES, ENTRIES, RECORD_HEADER = 0, 8, 16, 24, 32
RANGE_SIZE, ENTRY_SIZE = 40, 16
# What `publish_region` takes: counts, `emptied` as it was when its pages were met, then ranges as in a record, entries (pc, host code,
# key), exits (pc, address of the rel32, key).
JOB_RANGES, JOB_ENTRIES, JOB_EXITS, JOB_EMPTIED, JOB_HEADER = 0, 8, 16, 24, 32
JOB_SIZE = 24                   # of an entry or exit
CODE_ALIGNMENT = 64
DONE, NO_ROOM, STALE = 1, 0, -1
GONE, CHANGED, UNWANTED = range(3)     # why regions are dropped
THUNK_SIZE = 16
