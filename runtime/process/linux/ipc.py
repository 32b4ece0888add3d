"""System V and POSIX inter-process communication."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.memory.window import PROT_EXEC, PROT_READ, PROT_WRITE
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall

EINVAL = 22
IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO, SEM_STAT, SEM_INFO, SEM_STAT_ANY = 0, 1, 2, 3, 18, 19, 20
GETALL, SETALL, SETVAL = 13, 17, 16
SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC, SHMLBA = 0o10000, 0o20000, 0o40000, 0o100000, 4096
SHMID_DS_SIZE, SHM_SEGSZ = 112, 48      # struct shmid64_ds, offset of its size
SEMID_HEAD, SEMID_SIZE = 48, 88         # struct ipc64_perm; struct semid64_ds of the asm-generic ABI
SEMID_HOST_SIZE = 104                   # x86-64 has a word behind each of its two times
TIMES = Struct("<qqqqQQQ")              # x86-64: otime, unused, ctime, unused, nsems, unused, unused
SIGEVENT_HEAD = Struct("<Qii")          # value, signo, notify
SIGEV_THREAD = 2

passed("""
    shmget int size mode | semget int int mode | semop int ptr size | semtimedop int ptr size struct:timespec
    msgget int mode | msgctl int int ptr | msgsnd int ptr size int | msgrcv int ptr size size int
    mq_open string flags:open mode ptr -> fd | mq_unlink string | mq_timedsend fd buffer:2 size uint struct:timespec
    mq_timedreceive fd out size ptr struct:timespec | mq_getsetattr fd ptr ptr | shmctl int int ptr
""")


@syscall("shmat", "int ptr int -> ptr")
def shmat(thread: Thread, identifier: int, address: int, flags: int) -> int:
    """Finds room as mmap does; the kernel then maps over it."""
    memory = thread.process.memory
    data = bytes(SHMID_DS_SIZE)
    result = call(NR["shmctl"], identifier, IPC_STAT, address_of(data))
    if result < 0:
        return result
    if address % SHMLBA:
        if not flags & SHM_RND:
            return -EINVAL
        address -= address % SHMLBA
    size = int.from_bytes(data[SHM_SEGSZ:SHM_SEGSZ + 8], "little")
    prot = PROT_READ | (0 if flags & SHM_RDONLY else PROT_WRITE) | (PROT_EXEC if flags & SHM_EXEC else 0)
    flags &= ~SHM_EXEC
    return memory.attach(address, size, prot, bool(address and flags & SHM_REMAP), lambda at: call(
        NR["shmat"], identifier, at, flags | SHM_REMAP))


@syscall("shmdt", "ptr")
def shmdt(thread: Thread, address: int) -> int:
    memory = thread.process.memory
    return memory.detach(address) if address < memory.size else -EINVAL


@syscall("semctl", "int int int ptr")
def semctl(thread: Thread, identifier: int, number: int, command: int, argument: int) -> int:
    """struct semid_ds differs; the other pointers lead to plain arrays."""
    memory, operation = thread.process.memory, signed32(command)
    if operation in (IPC_STAT, SEM_STAT, SEM_STAT_ANY, IPC_SET):
        own = bytes(SEMID_HOST_SIZE)
        if operation == IPC_SET:
            own = memory.read(argument, SEMID_HEAD) + bytes(SEMID_HOST_SIZE - SEMID_HEAD)
        result = thread.call(NR["semctl"], identifier, number, command, address_of(own))
        if result >= 0 and operation != IPC_SET:
            otime, _, ctime, _, count, _, _ = TIMES.unpack_from(own, SEMID_HEAD)
            memory.write(argument, own[:SEMID_HEAD] + Struct("<qqQQQ").pack(otime, ctime, count, 0, 0))
        return result
    if operation in (GETALL, SETALL, IPC_INFO, SEM_INFO):
        argument = memory.host(argument)
    return thread.call(NR["semctl"], identifier, number, command, argument)


@syscall("mq_notify", "fd ptr")
def mq_notify(thread: Thread, fd: int, event: int) -> int:
    if not event:
        return thread.call(NR["mq_notify"], fd, 0)
    memory = thread.process.memory
    data = memory.read(event, 64)
    value, signal, notify = SIGEVENT_HEAD.unpack_from(data)
    if notify == SIGEV_THREAD:
        value = memory.host(value)
    own = SIGEVENT_HEAD.pack(value, signal, notify) + data[SIGEVENT_HEAD.size:]
    return thread.call(NR["mq_notify"], fd, address_of(own))
