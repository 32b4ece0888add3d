"""The few x86-64 instructions that the translator writes by itself: jumps, stubs, the budget's count-down, padding."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, store8, store16, store32, store64
from dragoman.dbt.state import CACHE, OFFSET

C_DELTA, C_JUMP_MASK = CACHE["write_delta"], CACHE["jump_mask"]
JUMP_CACHE = OFFSET["jump_cache"]
BUDGET, INSTRUCTIONS = OFFSET["budget"], OFFSET["instructions"]
JUMP_OPCODE, CACHE_LINE = 0xE9, 64
RDX, RCX = 2, 1                     # `target` and `free` of the shared convention
COUNT_DOWN_SIZE = 12                # the rel32 of its jump is the last four bytes


@compiled("i8(i8,i8,i8)")
def put_jump(cache: int, at: int, to: int) -> int:
    """jmp to; returns the address behind it."""
    write = at + load64(cache + C_DELTA)
    store8(write, JUMP_OPCODE)
    store32(write + 1, to - at - 5)
    return at + 5


@compiled("i8(i8,i8,i8,i8)")
def put_constant(cache: int, at: int, register: int, value: int) -> int:
    """mov register, value (one of the low eight); returns the address behind it."""
    write = at + load64(cache + C_DELTA)
    if value >= 0 and value < 0x1_0000_0000:
        store8(write, 0xB8 + register)
        store32(write + 1, value)
        return at + 5
    store8(write, 0x48)
    store8(write + 1, 0xB8 + register)
    store64(write + 2, value)
    return at + 10


@compiled("i8(i8,i8,i8,i8)")
def put_address(cache: int, at: int, register: int, host: int) -> int:
    """lea register, host (one of the low eight, an address near the code); returns the address behind it."""
    write = at + load64(cache + C_DELTA)
    store16(write, 0x8D48)
    store8(write + 2, 5 | register << 3)
    store32(write + 3, host - at - 7)
    return at + 7


@compiled("i8(i8,i8,i8,i8)")
def put_far_jump(cache: int, at: int, pc: int, miss: int) -> int:
    """Go to the block that the thread's jump cache has for the constant `pc`, else to `miss`; returns the address behind it."""
    slot = (pc >> 1 & load64(cache + C_JUMP_MASK)) * 16
    at = put_constant(cache, at, RDX, pc)
    write = at + load64(cache + C_DELTA)
    store16(write, 0x8B48)              # mov rax, [rdi + jump_cache]
    store8(write + 2, 0x87)
    store32(write + 3, JUMP_CACHE)
    store16(write + 7, 0x3948)          # cmp [rax + slot], rdx
    store8(write + 9, 0x90)
    store32(write + 10, slot)
    store16(write + 14, 0x850F)         # jne miss
    store32(write + 16, miss - at - 20)
    store16(write + 20, 0xA0FF)         # jmp [rax + slot + 8]
    store32(write + 22, slot + 8)
    return at + 26


@compiled("i8(i8,i8)")
def put_count_down(cache: int, at: int) -> int:
    """dec dword [state + budget]; js ...: returns the address behind; its rel32 is still to be set."""
    write = at + load64(cache + C_DELTA)
    store16(write, 0x8FFF)
    store32(write + 2, BUDGET)
    store16(write + 6, 0x880F)
    return at + COUNT_DOWN_SIZE


@compiled("i8(i8,i8,i8)")
def put_increment(cache: int, at: int, word: int) -> int:
    """mov rcx, word; inc qword [rcx], where a block begins: nothing is in rcx then; returns the address behind it."""
    at = put_constant(cache, at, RCX, word)
    write = at + load64(cache + C_DELTA)
    store16(write, 0xFF48)
    store8(write + 2, 0x01)
    return at + 3


@compiled("i8(i8,i8)")
def put_count(cache: int, at: int) -> int:
    """inc qword [state + instructions]; returns the address behind it."""
    write = at + load64(cache + C_DELTA)
    store16(write, 0xFF48)
    store8(write + 2, 0x87)
    store32(write + 3, INSTRUCTIONS)
    return at + 7


@compiled("i8(i8,i8,i8)")
def pad(cache: int, at: int, hole: int) -> int:
    """No-operations at `at` so that a rel32 `hole` bytes behind lies in one cache line: patched in one store."""
    line = (at + hole) & (CACHE_LINE - 1)
    write = at + load64(cache + C_DELTA)
    if line <= CACHE_LINE - 4:
        return at
    if line == CACHE_LINE - 1:
        store8(write, 0x90)
        return at + 1
    if line == CACHE_LINE - 2:
        store16(write, 0x9066)
        return at + 2
    store16(write, 0x1F0F)
    store8(write + 2, 0)
    return at + 3
