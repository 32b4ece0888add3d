"""The signal frame of Linux on riscv64: what a handler finds on its stack, and what rt_sigreturn takes back.

    siginfo 128 | uc_flags uc_link uc_stack(sp flags size) uc_sigmask | room | pc x1..x31 | f0..f31 fcsr | room
arch/riscv/kernel/signal.c; include/uapi/asm/ucontext.h, sigcontext.h, ptrace.h.
"""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.cpu import Cpu

SIGINFO_SIZE = 128
SIZE = SIGINFO_SIZE + 960
UCONTEXT = SIGINFO_SIZE                         # offset in the frame
_HEAD = Struct("<QQQIIQQ")                      # uc_flags uc_link ss_sp ss_flags, filler, ss_size uc_sigmask
_WORD, _FCSR = Struct("<Q"), Struct("<I")
STACK, STACK_FLAGS, STACK_SIZE, MASK = UCONTEXT + 16, UCONTEXT + 24, UCONTEXT + 32, UCONTEXT + 40
PC = UCONTEXT + 176                             # then x1..x31
WHOLE, FLOATS = PC + 8, PC + 8 + 31 * 8         # f0..f31 and fcsr: the D part of the union with Q
FCSR = FLOATS + 32 * 8
_ROOM, _REST = bytes(PC - UCONTEXT - _HEAD.size), bytes(SIZE - FCSR - _FCSR.size)
assert _HEAD.size == 48 and PC + 256 + 528 == SIZE
TRAMPOLINE = bytes.fromhex("9308b008 73000000")  # li a7, 139 (rt_sigreturn); ecall: unwinders know signal frames by it
RA, SP, A0, A1, A2 = 1, 2, 10, 11, 12
NO_RESERVATION = (1 << 64) - 1


def build(cpu: Cpu, siginfo: bytes, mask: int, stack: tuple[int, int, int]) -> bytes:
    """The frame of the stopped thread. mask: blocked until now; stack: address, flags and size of the alternate one."""
    whole, floats = cpu.registers()
    return b"".join((siginfo, _HEAD.pack(0, 0, stack[0], stack[1], 0, stack[2], mask), _ROOM, _WORD.pack(cpu.pc), whole, floats,
                     _FCSR.pack(cpu.fcsr), _REST))


def enter(cpu: Cpu, handler: int, number: int, frame: int, trampoline: int) -> None:
    """Registers as a handler expects them; `frame` is the guest address of its frame."""
    x = cpu.x
    x[A0], x[A1], x[A2], x[SP], x[RA] = number, frame, frame + UCONTEXT, frame, trampoline
    cpu.pc, cpu.reservation = handler, NO_RESERVATION   # the kernel ends it at each return (arch/riscv/kernel/entry.S)


def restore(cpu: Cpu, frame: bytes) -> tuple[int, tuple[int, int, int]]:
    """Take the registers back from a frame; returns mask and alternate stack."""
    _, _, address, flags, _, size, mask = _HEAD.unpack_from(frame, UCONTEXT)
    cpu.pc, cpu.reservation = _WORD.unpack_from(frame, PC)[0] & ~1, NO_RESERVATION
    cpu.set_registers(frame[WHOLE:FLOATS], frame[FLOATS:FCSR])
    cpu.fcsr = frame[FCSR]
    return mask, (address, flags, size)
