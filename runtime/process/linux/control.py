"""System calls that control processes: prctl, namespaces, keys, and what is refused on purpose."""

from __future__ import annotations

import os

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import Thread, absent, passed, signed32, syscall
from dragoman.runtime.process.linux.vectors import iovec

EPERM, EINVAL = 1, 22
# prctl: options whose second argument is a pointer, and those whose arguments are numbers.
PR_POINTER = {2: "GET_PDEATHSIG", 9: "GET_FPEMU", 11: "GET_FPEXC", 15: "SET_NAME", 16: "GET_NAME",
              37: "GET_CHILD_SUBREAPER", 40: "GET_TID_ADDRESS"}
PR_NUMBER = {1: "SET_PDEATHSIG", 3: "GET_DUMPABLE", 4: "SET_DUMPABLE", 7: "GET_KEEPCAPS", 8: "SET_KEEPCAPS",
             13: "GET_TIMING", 14: "SET_TIMING", 21: "GET_SECCOMP", 23: "CAPBSET_READ", 24: "CAPBSET_DROP",
             27: "GET_SECUREBITS", 28: "SET_SECUREBITS", 29: "SET_TIMERSLACK", 30: "GET_TIMERSLACK", 33: "MCE_KILL",
             34: "MCE_KILL_GET", 36: "SET_CHILD_SUBREAPER", 38: "SET_NO_NEW_PRIVS", 39: "GET_NO_NEW_PRIVS",
             41: "SET_THP_DISABLE", 42: "GET_THP_DISABLE", 47: "CAP_AMBIENT", 57: "SET_IO_FLUSHER",
             58: "GET_IO_FLUSHER", 0x59616D61: "SET_PTRACER"}

passed("""
    unshare uint | setns fd int | kcmp int int int size size | add_key string string ptr size int -> int
    request_key string string string int | keyctl int size size size size | get_mempolicy ptr ptr size size size
    set_mempolicy int ptr size | vhangup | syslog int ptr int
""")
# For programs and kernels of this very machine, or outdated.
absent("seccomp ptrace kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff")
absent("acct nfsservctl")
absent("lookup_dcookie quotactl quotactl_fd remap_file_pages mbind migrate_pages move_pages set_mempolicy_home_node")
absent("landlock_create_ruleset landlock_add_rule landlock_restrict_self map_shadow_stack pkey_alloc pkey_free mseal")
absent("open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr process_madvise process_mrelease cachestat")
absent("statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules")


@syscall("prctl", "enum:prctl size size size size")
def prctl(thread: Thread, option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    number = signed32(option)
    if number in PR_POINTER:
        return thread.call(NR["prctl"], option, thread.process.memory.host(second), third, fourth, fifth)
    if number in PR_NUMBER:
        return thread.call(NR["prctl"], option, second, third, fourth, fifth)
    return -EINVAL



def _other_process(name: str) -> None:
    number = NR[name]

    def handler(thread: Thread, pid: int, local: int, local_count: int, remote: int, remote_count: int,
                flags: int) -> int:
        """Within the process itself; where the guest memory of another process lies is not known here."""
        if signed32(pid) != os.getpid():
            return -EPERM
        here, there = iovec(thread, local, local_count), iovec(thread, remote, remote_count)
        return thread.call(number, pid, address_of(here), local_count, address_of(there), remote_count, flags)
    syscall(name, "int ptr size ptr size size")(handler)


for _name in ("process_vm_readv", "process_vm_writev"):
    _other_process(_name)
