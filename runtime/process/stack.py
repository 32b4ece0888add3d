"""The main thread's stack as the kernel hands it over: argument and environment strings, their vectors, auxv."""

from __future__ import annotations

import os
from _struct import Struct
from errno import E2BIG, ENOMEM

from dragoman.runtime.memory.mappings import STACK
from dragoman.runtime.memory.space import STACK_GAP, AddressSpace, pages
from dragoman.runtime.memory.window import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PAGE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)
from dragoman.runtime.process import vdso
from dragoman.runtime.process.elf import Image, LoadError, Program, load
from dragoman.runtime.process.linux.riscv64 import HWCAP, MINSIGSTKSZ

LONGEST_STRING = 32 * PAGE      # MAX_ARG_STRLEN
UNLIMITED = 1 << 28             # what is mapped for a stack without limit
# auxiliary vector: include/uapi/linux/auxvec.h
AT = {"PHDR": 3, "PHENT": 4, "PHNUM": 5, "PAGESZ": 6, "BASE": 7, "FLAGS": 8, "ENTRY": 9, "UID": 11, "EUID": 12,
      "GID": 13, "EGID": 14, "HWCAP": 16, "CLKTCK": 17, "SECURE": 23, "RANDOM": 25, "EXECFN": 31, "SYSINFO_EHDR": 33,
      "MINSIGSTKSZ": 51}


def argument_room(stack_size: int) -> int:
    """Bytes that arguments and environment may take, vectors included (execve(2), limits on size)."""
    return max(LONGEST_STRING, min(stack_size // 4, 6 << 20))


def prepare(memory: AddressSpace, program: Program, arguments: tuple[bytes, ...], environment: tuple[bytes, ...],
            executed_as: bytes, stack_size: int | None) -> Image:
    """Load a program that was looked at, with its stack, into an empty address space. Raises LoadError.

    executed_as: the path that execve was given (AT_EXECFN); stack_size: bytes, None or huge for a stack without limit.
    """
    try:
        size = UNLIMITED if stack_size is None or stack_size > memory.size // 4 else stack_size
        size = max(pages(size), 32 * PAGE)
        check_size(arguments, environment, size)
        size += LONGEST_STRING  # a tiny stack: what is put there before the program starts still fits
        top = memory.size - PAGE
        prot = PROT_READ | PROT_WRITE | (PROT_EXEC if program.executable_stack else 0)
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
        result = memory.map(top - size, size, prot, flags, kind=STACK)
        if result < 0:
            raise LoadError(f"no room for a stack of {size} bytes: {os.strerror(-result)}", ENOMEM)
        memory.top = top - size - STACK_GAP
        image = load(memory, program)
        image.vdso, image.trampoline = vdso.map_into(memory)
    finally:
        program.close()
    image.stack_low, image.stack_high = top - size, top
    _fill(memory, image, arguments, environment, executed_as)
    return image


def _fill(memory: AddressSpace, image: Image, arguments: tuple[bytes, ...], environment: tuple[bytes, ...],
          executed_as: bytes) -> None:
    """Put strings and vectors at the top of the stack."""
    top = image.stack_high
    strings = [*arguments, *environment, executed_as]       # in this order, without gaps: what sets its title in ps counts on it
    length = sum(map(len, strings)) + len(strings) + 8
    vectors = 8 * (1 + len(arguments) + 1 + len(environment) + 1 + 2 * (len(AT) + 1))
    string_start = (top - length) & -16
    random_at = string_start - 16
    stack_pointer = (random_at - vectors) & -16
    block = bytearray(top - stack_pointer)
    addresses, at = [], top - length
    for text in strings:
        block[at - stack_pointer:at - stack_pointer + len(text)] = text
        addresses.append(at)
        at += len(text) + 1
    block[random_at - stack_pointer:random_at - stack_pointer + 16] = os.urandom(16)
    values = {
        "PHDR": image.phdr, "PHENT": 56, "PHNUM": image.phnum, "PAGESZ": PAGE, "BASE": image.interpreter_base,
        "FLAGS": 0, "ENTRY": image.entry, "UID": os.getuid(), "EUID": os.geteuid(), "GID": os.getgid(),
        "EGID": os.getegid(), "HWCAP": HWCAP, "CLKTCK": 100, "SECURE": 0, "RANDOM": random_at,
        "EXECFN": addresses[-1], "SYSINFO_EHDR": image.vdso, "MINSIGSTKSZ": MINSIGSTKSZ,
    }
    auxv = [word for name, number in AT.items() for word in (number, values[name])] + [0, 0]
    first = len(arguments)          # string of the environment
    words = [first, *addresses[:first], 0, *addresses[first:-1], 0, *auxv]
    layout = Struct(f"<{len(words)}Q")
    layout.pack_into(block, 0, *words)
    memory.write(stack_pointer, bytes(block))

    image.arguments, image.environment = arguments, environment
    image.argument_bounds = top - length, addresses[first]
    image.environment_bounds = addresses[first], addresses[-1]
    image.auxv = Struct(f"<{len(auxv)}Q").pack(*auxv)
    image.stack_pointer = stack_pointer


def check_size(arguments: tuple[bytes, ...], environment: tuple[bytes, ...], stack_size: int) -> None:
    """Raises LoadError E2BIG where execve would: for exec, before the old program is lost."""
    room, strings = argument_room(stack_size), [*arguments, *environment]
    if sum(map(len, strings)) + 9 * len(strings) > room or any(len(text) >= LONGEST_STRING for text in strings):
        raise LoadError(f"arguments and environment are too long: {room} bytes fit with this stack", E2BIG)
