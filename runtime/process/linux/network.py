"""System calls on sockets. Addresses, options, ancillary data are the same on guest and host; msghdr has pointers."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall
from dragoman.runtime.process.linux.vectors import UIO_MAXIOV, iovec

EINVAL, EMSGSIZE, EOPNOTSUPP = 22, 90, 95
MSGHDR = Struct("<QI4xQQQQI4x")     # name namelen iov iovlen control controllen flags
MMSGHDR_SIZE = MSGHDR.size + 8      # and the length of the message
PROGRAM = Struct("<H6xQ")           # struct sock_fprog
SOL_SOCKET, SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF = 1, 26, 51
IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE = 6, 35

passed("""
    socket enum:family flags:socket int -> fd | socketpair enum:family flags:socket int ptr | bind fd sockaddr:2 int
    listen fd int | accept fd ptr ptr -> fd | accept4 fd ptr ptr flags:socket -> fd | connect fd sockaddr:2 int
    getsockname fd ptr ptr | getpeername fd ptr ptr | shutdown fd int
    sendto fd buffer:2 size flags:msg sockaddr:5 int | recvfrom fd out size flags:msg ptr ptr
""")


class Message:
    """The host's copy of a guest msghdr; lives until the call is over."""

    def __init__(self, thread: Thread, address: int):
        self.memory, self.address = thread.process.memory, address
        host = self.memory.host
        name, name_length, vector, count, control, control_length, flags = self.memory.read_struct(address, MSGHDR)
        if count > UIO_MAXIOV:
            raise OSError(EMSGSIZE, "EMSGSIZE")
        self.vectors = iovec(thread, vector, count)
        self.header = MSGHDR.pack(host(name), name_length, address_of(self.vectors) if count else 0, count,
                                  host(control), control_length, flags)

    def write_back(self) -> None:
        """What recvmsg tells: lengths of name and control data, flags."""
        _, name_length, _, _, _, control_length, flags = MSGHDR.unpack(self.header)
        self.memory.write(self.address + 8, name_length.to_bytes(4, "little"))
        self.memory.write(self.address + 40, control_length.to_bytes(8, "little") + flags.to_bytes(4, "little"))


@syscall("sendmsg", "fd struct:msghdr flags:msg")
def sendmsg(thread: Thread, fd: int, address: int, flags: int) -> int:
    message = Message(thread, address)
    return thread.call(NR["sendmsg"], fd, address_of(message.header), flags)


@syscall("recvmsg", "fd struct:msghdr flags:msg")
def recvmsg(thread: Thread, fd: int, address: int, flags: int) -> int:
    message = Message(thread, address)
    result = thread.call(NR["recvmsg"], fd, address_of(message.header), flags)
    if result >= 0:
        message.write_back()
    return result


def _several(thread: Thread, name: str, fd: int, array: int, count: int, *more: int, receives: bool) -> int:
    count = min(count & 0xFFFF_FFFF, UIO_MAXIOV)
    memory = thread.process.memory
    messages = [Message(thread, array + at * MMSGHDR_SIZE) for at in range(count)]
    headers = b"".join([message.header + bytes(8) for message in messages])
    result = thread.call(NR[name], fd, address_of(headers) if count else 0, count, *more)
    for at in range(max(result, 0)):
        header = headers[at * MMSGHDR_SIZE:(at + 1) * MMSGHDR_SIZE]
        messages[at].header = header[:MSGHDR.size]
        if receives:
            messages[at].write_back()
        memory.write(array + at * MMSGHDR_SIZE + MSGHDR.size, header[MSGHDR.size:MSGHDR.size + 4])
    return result


@syscall("sendmmsg", "fd ptr uint flags:msg")
def sendmmsg(thread: Thread, fd: int, array: int, count: int, flags: int) -> int:
    return _several(thread, "sendmmsg", fd, array, count, flags, receives=False)


@syscall("recvmmsg", "fd ptr uint flags:msg struct:timespec")
def recvmmsg(thread: Thread, fd: int, array: int, count: int, flags: int, timeout: int) -> int:
    return _several(thread, "recvmmsg", fd, array, count, flags, thread.process.memory.host(timeout), receives=True)


@syscall("setsockopt", "fd enum:level int ptr int")
def setsockopt(thread: Thread, fd: int, level: int, option: int, value: int, length: int) -> int:
    memory = thread.process.memory
    if signed32(level) == SOL_SOCKET and signed32(option) in (SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF):
        if signed32(length) != PROGRAM.size:
            return -EINVAL
        count, code = memory.read_struct(value, PROGRAM)
        own = PROGRAM.pack(count, memory.host(code))
        return thread.call(NR["setsockopt"], fd, level, option, address_of(own), length)
    return thread.call(NR["setsockopt"], fd, level, option, memory.host(value), length)


@syscall("getsockopt", "fd enum:level int ptr ptr")
def getsockopt(thread: Thread, fd: int, level: int, option: int, value: int, length: int) -> int:
    if signed32(level) == IPPROTO_TCP and signed32(option) == TCP_ZEROCOPY_RECEIVE:
        return -EOPNOTSUPP  # it maps pages at an address inside the structure
    host = thread.process.memory.host
    return thread.call(NR["getsockopt"], fd, level, option, host(value), host(length))
