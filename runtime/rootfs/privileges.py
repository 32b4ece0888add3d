"""What a guest's world may not do at all: capabilities given up for good, and a filter of system calls.

The capabilities left are those that containers have by custom; all count in the guest's own user namespace only.
"""

from __future__ import annotations

import os
from _collections_abc import Collection
from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of, call

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 24, 38, 22, 2
# include/uapi/linux/capability.h
KEPT = {0: "chown", 1: "dac_override", 3: "fowner", 4: "fsetid", 5: "kill", 6: "setgid", 7: "setuid", 8: "setpcap",
        10: "net_bind_service", 13: "net_raw", 18: "sys_chroot", 27: "mknod", 29: "audit_write", 31: "setfcap"}
NET_ADMIN, HIGHEST = 12, 63
VERSION_3 = 0x2008_0522
HEADER, SETS = Struct("<Ii"), Struct("<6I")
# Calls that would widen what the kernel shows to a hostile guest; no program of a contained guest needs them.
REFUSED = """ptrace bpf perf_event_open userfaultfd keyctl add_key request_key open_by_handle_at kexec_load kexec_file_load
init_module finit_module delete_module mount umount2 pivot_root open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
unshare setns swapon swapoff reboot acct quotactl quotactl_fd iopl ioperm lookup_dcookie process_madvise process_mrelease
pidfd_getfd io_uring_setup io_uring_enter io_uring_register syslog""".split()
NEW_USER, TIOCSTI, TIOCLINUX = 0x1000_0000, 0x5412, 0x541C
# Classic BPF (linux/filter.h, linux/seccomp.h): code, jumps if true and false, constant.
ROW = Struct("<HBBI")
LOAD, EQUAL, AT_LEAST, HAS_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENT_0, ARGUMENT_1 = 0, 4, 16, 24
X86_64, X32 = 0xC000_003E, 0x4000_0000
ALLOW, ERRNO = 0x7FFF_0000, 0x0005_0000
EPERM, ENOSYS = 1, 38


def give_up(kept: Collection[int]) -> None:
    """All capabilities but those kept, for this process and all that come from it. Raises OSError."""
    for number in range(HIGHEST + 1):
        if number not in kept:
            call(NR["prctl"], PR_CAPBSET_DROP, number)      # EINVAL: no such one in this kernel
    _set_capabilities(sum(1 << number for number in kept))
    for option in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, _program(filter_rows()))):
        result = call(NR["prctl"], *option)
        if result < 0:
            raise OSError(-result, f"giving up privileges: {os.strerror(-result)}")


def _set_capabilities(wanted: int) -> None:
    """Effective and permitted: what is wanted and there; inheritable: none."""
    header, sets = HEADER.pack(VERSION_3, 0), bytes(SETS.size)
    call(NR["capget"], address_of(header), address_of(sets))
    _, low, _, _, high, _ = SETS.unpack(sets)
    permitted = (high << 32 | low) & wanted
    low, high = permitted & 0xFFFF_FFFF, permitted >> 32
    sets = SETS.pack(low, low, 0, high, high, 0)
    result = call(NR["capset"], address_of(header), address_of(sets))
    if result < 0:
        raise OSError(-result, f"capset: {os.strerror(-result)}")


def filter_rows() -> list[bytes]:
    """The filter: another architecture's calls and the refused ones fail, all others go through."""
    rows = [ROW.pack(LOAD, 0, 0, ARCHITECTURE), ROW.pack(EQUAL, 1, 0, X86_64), ROW.pack(RETURN, 0, 0, ERRNO | ENOSYS),
            ROW.pack(LOAD, 0, 0, NUMBER), ROW.pack(AT_LEAST, 0, 1, X32), ROW.pack(RETURN, 0, 0, ERRNO | ENOSYS)]
    for name in REFUSED:
        rows += [ROW.pack(EQUAL, 0, 1, NR[name]), ROW.pack(RETURN, 0, 0, ERRNO | EPERM)]
    # clone3's flags are in memory, where a filter cannot look: libc then takes clone
    rows += [ROW.pack(EQUAL, 0, 1, NR["clone3"]), ROW.pack(RETURN, 0, 0, ERRNO | ENOSYS)]
    rows += [ROW.pack(EQUAL, 0, 3, NR["clone"]), ROW.pack(LOAD, 0, 0, ARGUMENT_0), ROW.pack(HAS_BITS, 0, 1, NEW_USER),
             ROW.pack(RETURN, 0, 0, ERRNO | EPERM), ROW.pack(LOAD, 0, 0, NUMBER)]
    # What is put into a terminal's input queue would be read by the host's shell afterwards.
    rows += [ROW.pack(EQUAL, 0, 4, NR["ioctl"]), ROW.pack(LOAD, 0, 0, ARGUMENT_1), ROW.pack(EQUAL, 1, 0, TIOCSTI),
             ROW.pack(EQUAL, 0, 1, TIOCLINUX), ROW.pack(RETURN, 0, 0, ERRNO | EPERM)]
    return [*rows, ROW.pack(RETURN, 0, 0, ALLOW)]


_kept: list[bytes] = []


def _program(rows: list[bytes]) -> int:
    """Address of a struct sock_fprog."""
    code = b"".join(rows)
    head = Struct("<H6xQ").pack(len(rows), address_of(code))
    _kept[:] = [code, head]
    return address_of(head)
