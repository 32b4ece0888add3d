"""What the cases print and return natively on x86-64 (status as a shell sees it)."""

EXPECTED = {
    "exec_from_thread": (7, "the same process, 1 thread\n"),
    "exec_beside_threads": (7, "the same process, 1 thread\n"),
    "exec_keeps": (0, "blocked: 1 1, pending: 1\n"),
    "main_ends_first": (5, ""),
    "thread_ends_all": (6, ""),
    "thread_faults": (139, ""),
    "thread_aborts": (134, ""),
    "cancel": (0, "cancelled: 1\n"),
    "set_ids": (0, "ids set in all threads\n"),
    "many_threads": (0, "320 threads\n"),
    "spawn_errors": (0, """\
missing: No such file or directory
a folder: Permission denied
an action: No such file or directory
children left: 0
"""),
    "vfork_shares": (0, "status 4, the child wrote 42\n"),
    "forks_in_threads": (0, "50 children of threads\n"),
    "exec_in_child_of_thread": (0, """\
the same process, 1 thread
status 7
"""),
    "robust_thread": (0, "the owner died: 1\n"),
    "robust_process": (0, "the owner died: 1\n"),
    "fault_infos": (0, """\
unmapped: signal 11, code 1, address right
read-only: signal 11, code 2, address right
no access: signal 11, code 2, address right
behind the end of a file: signal 7, code 2, address right
far away: signal 11
not executable: signal 11, code 2, address right
sent: signal 11, code 0, sender right
raised: signal 7, code -6, sender right
raised: signal 4, code -6, sender right
"""),
    "fault_blocked": (139, """\
blocked and pending: 1
unblocked: signal 11, code 0, sender right
"""),
    "fault_ignored": (139, "ignored when sent\n"),
    "fault_stack": (0, """\
stack overflow: signal 11
and again: signal 11
"""),
    "fault_no_frame": (139, ""),
    "float_state": (0, "interrupted often, wrong 0\n"),
    "context_changes": (0, "skipped 1 load, result 77\n"),
    "interrupted_calls": (0, "signals: 200, all others met a call: 1\n"),
    "restarted_calls": (0, "one call, 100 signals: 1 x\n"),
    "suspended": (0, "handed over 300 times\n"),
    "ping_pong": (0, "6000 turns\n"),
}
