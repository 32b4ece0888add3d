"""Asynchronous input and output: io_setup, io_submit and their kin.

A context's handle is the address of a page, as natively, where it is the ring of events: libaio looks there for the ring's
magic number, does not find it in ours, and asks the kernel. The kernel is given copies of requests, and names a request by
the address of its copy; the copies live until their event is reported.
"""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.memory.window import MAP_ANONYMOUS, MAP_PRIVATE, PAGE, PROT_READ, PROT_WRITE, GuestFault
from dragoman.runtime.process.linux.host import NR, address_of, call, call_and_wait
from dragoman.runtime.process.linux.polling import SIGMASK
from dragoman.runtime.process.linux.table import Thread, signed, syscall
from dragoman.runtime.process.linux.vectors import iovec, vector_count

EFAULT, EINVAL = 14, 22
# include/uapi/linux/aio_abi.h, the same on all little-endian 64-bit ABIs
IOCB = Struct("<QIiHhIQQqQII")      # data key rw_flags opcode reqprio fildes buf nbytes offset reserved2 flags resfd
KEY_AT = 8
EVENT = Struct("<QQqq")             # data obj res res2
OPCODE, BUFFER, LENGTH = 3, 6, 7    # fields of IOCB
PREAD, PWRITE, PREADV, PWRITEV = 0, 1, 7, 8
MOST_REQUESTS = 1024                # submitted at once; the guest is told how many were
MOST_EVENTS = 1 << 16               # reported at once: aio-max-nr of a system that nobody has tuned
WORD = Struct("<Q")


class Context:
    """One of io_setup: the host's handle, and the requests under way: address of the copy -> (copy, guest address)."""

    __slots__ = ("handle", "requests")

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.requests: dict[int, tuple[bytes, int]] = {}


def find(thread: Thread, handle: int) -> Context:
    """The context that the guest has this handle of. Raises OSError EINVAL."""
    context = thread.process.contexts.get(handle)
    if context is None:
        raise OSError(EINVAL, "EINVAL")
    return context


@syscall("io_setup", "uint ptr")
def io_setup(thread: Thread, count: int, handle: int) -> int:
    process = thread.process
    memory = process.memory
    if memory.read_words(handle, 1) != (0,):
        return -EINVAL
    own = bytes(WORD.size)
    result = thread.call(NR["io_setup"], count, address_of(own))
    if result < 0:
        return result
    context = Context(int.from_bytes(own, "little"))
    at = memory.map(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    if at < 0:
        call(NR["io_destroy"], context.handle)
        return at
    process.contexts[at] = context
    try:
        memory.write_struct(handle, WORD, at)
    except GuestFault:
        io_destroy(thread, at)
        raise
    return 0


@syscall("io_destroy", "ptr")
def io_destroy(thread: Thread, handle: int) -> int:
    context = thread.process.contexts.pop(handle, None)
    if context is None:
        return -EINVAL
    thread.process.memory.unmap(handle, PAGE)
    return call_and_wait(NR["io_destroy"], context.handle)  # until what is under way is done


def _request(thread: Thread, address: int) -> tuple[bytes, bytes]:
    """The host's copy of a guest iocb, and the vectors it leads to. Raises GuestFault, OSError."""
    memory, vectors = thread.process.memory, b""
    fields = list(memory.read_struct(address, IOCB))
    if fields[OPCODE] in (PREAD, PWRITE):
        fields[BUFFER] = memory.host(fields[BUFFER])
    elif fields[OPCODE] in (PREADV, PWRITEV):
        vectors = iovec(thread, fields[BUFFER], vector_count(fields[LENGTH]))
        fields[BUFFER] = address_of(vectors)
    memory.write(address + KEY_AT, bytes(4))        # KIOCB_KEY: the kernel marks what it has seen
    fields[1] = 0
    return IOCB.pack(*fields), vectors


@syscall("io_submit", "ptr size ptr")
def io_submit(thread: Thread, handle: int, count: int, array: int) -> int:
    context = find(thread, handle)
    count = signed(count)
    if count <= 0:
        return -EINVAL if count else 0
    copies: list[bytes] = []
    alive: list[bytes] = []
    error = -EFAULT
    try:
        for at in range(min(count, MOST_REQUESTS)):
            address, = thread.process.memory.read_words(array + 8 * at, 1)
            copy, vectors = _request(thread, address)
            copies.append(copy)
            alive.append(vectors)
            context.requests[address_of(copy)] = copy, address
    except GuestFault:
        error = -EFAULT                             # those before it are submitted
    except OSError as refusal:
        error = -(refusal.errno or EINVAL)
    if not copies:
        return error
    pointers = b"".join([WORD.pack(address_of(copy)) for copy in copies])
    result = thread.call(NR["io_submit"], context.handle, len(copies), address_of(pointers))
    for copy in copies[max(result, 0):]:
        context.requests.pop(address_of(copy), None)
    return result


@syscall("io_cancel", "ptr ptr ptr")
def io_cancel(thread: Thread, handle: int, request: int, result: int) -> int:
    context = find(thread, handle)
    thread.process.memory.read(request, IOCB.size)
    found = [at for at, (_, address) in list(context.requests.items()) if address == request]
    own = bytes(EVENT.size)
    return thread.call(NR["io_cancel"], context.handle, found[0], address_of(own)) if found else -EINVAL


def _events(thread: Thread, number: int, handle: int, least: int, most: int, events: int, *more: int) -> int:
    context = find(thread, handle)
    least, most = signed(least), signed(most)
    if least > most or least < 0:
        return -EINVAL
    most = min(most, MOST_EVENTS)
    own = bytes(max(most, 1) * EVENT.size)
    result = thread.call(number, context.handle, min(least, most), most, address_of(own), *more)
    if result > 0:
        found = []
        for data, copy, outcome, second in EVENT.iter_unpack(own[:result * EVENT.size]):
            found.append(EVENT.pack(data, context.requests.pop(copy)[1], outcome, second))
        thread.process.memory.write(events, b"".join(found))
    return result


@syscall("io_getevents", "ptr size size ptr struct:timespec")
def io_getevents(thread: Thread, handle: int, least: int, most: int, events: int, timeout: int) -> int:
    return _events(thread, NR["io_getevents"], handle, least, most, events, thread.process.memory.host(timeout))


@syscall("io_pgetevents", "ptr size size ptr struct:timespec ptr")
def io_pgetevents(thread: Thread, handle: int, least: int, most: int, events: int, timeout: int, mask: int) -> int:
    memory, own = thread.process.memory, b""
    if mask:
        address, size = memory.read_struct(mask, SIGMASK)
        own = SIGMASK.pack(memory.host(address), size)
    return _events(thread, NR["io_pgetevents"], handle, least, most, events, memory.host(timeout),
                   address_of(own) if mask else 0)
