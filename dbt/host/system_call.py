"""A system call of the host in compiled code: between two lines of a function, whose thread may be stopped in it by a signal."""

from __future__ import annotations

import ctypes

from dragoman.dbt.compiled import primitive

_ASM = 'asm sideeffect "syscall", "={rax},{rax},{rdi},{rsi},{rdx},{r10},{r8},{r9},~{rcx},~{r11},~{memory}"'


@primitive("i8(i8,i8,i8,i8,i8,i8,i8)",
           f"%r = call i64 {_ASM}(i64 %a, i64 %b, i64 %c, i64 %d, i64 %e, i64 %f, i64 %g)\n  ret i64 %r")
def system_call(number: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
    """The kernel's result: -errno if it failed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(*map(ctypes.c_long, (number, a, b, c, d, e, f)))
    return -ctypes.get_errno() if result == -1 else result
