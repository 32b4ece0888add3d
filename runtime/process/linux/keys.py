"""System calls on the kernel's keys. keyctl is a family of calls: which arguments are pointers depends on the first."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall
from dragoman.runtime.process.linux.vectors import iovec, vector_count

EOPNOTSUPP = 95
# security/keys/keyctl.c (Linux 6.12), SYSCALL_DEFINE5(keyctl): p a pointer, - not, for the arguments behind the operation.
ROWS = """
0 GET_KEYRING_ID --  1 JOIN_SESSION_KEYRING p  2 UPDATE -p-  3 REVOKE -  4 CHOWN ---  5 SETPERM --  6 DESCRIBE -p-
7 CLEAR -  8 LINK --  9 UNLINK --  10 SEARCH -pp-  11 READ -p-  12 INSTANTIATE -p--  13 NEGATE ---
14 SET_REQKEY_KEYRING -  15 SET_TIMEOUT --  16 ASSUME_AUTHORITY -  17 GET_SECURITY -p-  18 SESSION_TO_PARENT -
19 REJECT ----  20 INSTANTIATE_IOV -v--  21 INVALIDATE -  22 GET_PERSISTENT --  23 DH_COMPUTE pp-k
24 PKEY_QUERY --pp  25 PKEY_ENCRYPT pppp  26 PKEY_DECRYPT pppp  27 PKEY_SIGN pppp  28 PKEY_VERIFY pppp
29 RESTRICT_KEYRING -pp  30 MOVE ----  31 CAPABILITIES p-  32 WATCH_KEY ---
"""
_words = ROWS.split()
OPERATIONS = {int(number): kinds for number, kinds in zip(_words[::3], _words[2::3])}
KDF = Struct("<QQ36s4x")        # struct keyctl_kdf_params: hashname otherinfo, and what is no pointer

passed("add_key string string ptr size int -> int | request_key string string string int")


@syscall("keyctl", "int size size size size")
def keyctl(thread: Thread, operation: int, *arguments: int) -> int:
    kinds = OPERATIONS.get(signed32(operation))
    if kinds is None:
        return -EOPNOTSUPP
    memory, moved = thread.process.memory, list(arguments)
    alive: list[bytes] = []
    for at, kind in enumerate(kinds):
        value = arguments[at]
        if kind == "p":
            moved[at] = memory.host(value)
        elif kind == "v" and value:
            alive.append(iovec(thread, value, vector_count(arguments[at + 1])))
            moved[at] = address_of(alive[-1])
        elif kind == "k" and value:
            hash_name, other, rest = memory.read_struct(value, KDF)
            alive.append(KDF.pack(memory.host(hash_name), memory.host(other), rest))
            moved[at] = address_of(alive[-1])
    return thread.call(NR["keyctl"], operation, *moved)
