"""The host's native code with a few small "guest" functions, linked in this process: what the host tests run."""

from __future__ import annotations

import ctypes
import mmap

import llvmlite.binding as binding

from dragoman.dbt import llvm
from dragoman.dbt.cpu import Cpu
from dragoman.dbt.host.calls import HostCalls
from dragoman.dbt.host.x86_64 import GLOBAL, NOT_MADE, text
from dragoman.dbt.sites import ARGUMENTS, CONVENTION, PARAMETERS, TYPES
from dragoman.dbt.state import CACHE, EXITS, OFFSET, SIGINFO

PINNED = (15, 10, 14, 2, 11, 8, 13)
ALL = ", ".join(f"{TYPES[a]} %{a}" for a in ARGUMENTS)
BLOCK_MARK = [".globl safe_window", ".globl safe_window_end"]
EINTR = -4


def define(name: str, *lines: str) -> str:
    return "\n".join([f"define {CONVENTION} void @{name}({PARAMETERS}) {{", "entry:", *lines, "}"])


def field(name: str, pointer: str = "%state") -> list[str]:
    return [f"%{name}.p = getelementptr i8, ptr {pointer}, i64 {OFFSET[name]}"]


def leave(reason: str) -> list[str]:
    return [*field("exit_reason"), f"store i64 {EXITS[reason]}, ptr %exit_reason.p", "ret void"]


def store_pins() -> list[str]:
    lines = []
    for slot, number in zip(("p0", "p1", "p2", "p3", "p4", "p5", "p6"), PINNED):
        lines += [f"%at{slot} = getelementptr i8, ptr %state, i64 {8 * number}", f"store i64 %{slot}, ptr %at{slot}"]
    return lines


# x10 (p1) is a guest address; a load from it goes to x15; x14 is changed before, to see what a fault stores.
LOAD = define("guest_load", "%changed = add i64 %p2, 1", "%ap = getelementptr i8, ptr %mem, i64 %p1",
              "%v = load volatile i64, ptr %ap, align 1",
              f"musttail call {CONVENTION} void @guest_leave(i64 %v, i64 %p1, i64 %changed, i64 %p3, ptr %state, "
              "ptr %mem, i64 %target, ptr %free, i64 %p4, i64 %p5, i64 %p6)", "ret void")
# The changed x14 lies in its pin before the load.
KEEP = define("guest_keep", "%changed = call i64 asm sideeffect \"lea 1($1), $0\", \"={r14},{r14}\"(i64 %p2)",
              "call void asm sideeffect \"mov (%rsi, %r13), %r12\", \"~{r12},~{memory}\"()", "ret void")
LEAVE = define("guest_leave", *store_pins(), *leave("syscall"))
SPIN = define("guest_spin", *field("budget"), "br label %head", "head:", "%b = load volatile i32, ptr %budget.p",
              "%b1 = sub i32 %b, 1", "store volatile i32 %b1, ptr %budget.p", "%out = icmp slt i32 %b1, 0",
              "br i1 %out, label %test, label %head", "test:", "store volatile i32 1000, ptr %budget.p",
              *field("pending"), "%some = load volatile i64, ptr %pending.p", "%none = icmp eq i64 %some, 0",
              "br i1 %none, label %head, label %leave", "leave:", *leave("poll"))
DIVIDE = define("guest_divide", "%f = bitcast i64 %p1 to double",
                "%q = call double asm sideeffect \"divsd $2, $0\", \"=x,0,x\"(double 1.0, double %f)",
                "%r = bitcast double %q to i64",
                f"musttail call {CONVENTION} void @guest_leave(i64 %r, i64 %p1, i64 %p2, i64 %p3, ptr %state, ptr %mem,"
                " i64 %target, ptr %free, i64 %p4, i64 %p5, i64 %p6)", "ret void")
DISPATCH = define("dispatch", "%code = inttoptr i64 %target to ptr", f"musttail call {CONVENTION} void %code({ALL})",
                  "ret void")
GUEST = ("guest_load", "guest_keep", "guest_leave", "guest_spin", "guest_divide")

# A sibling's signal races with a call. The waiter aims: its next call comes later if the signal found it asleep. A call
# that slept to its end although the signal had come lost its wake-up.
RACE = f"""@safe_window = external global i8
@safe_window_end = external global i8
declare i64 @safe_call(ptr, ptr)
declare i64 @plain_call(ptr)
define void @waiter(ptr %state, ptr %round.p, ptr %frame, ptr %unblock, i64 %rounds, ptr %counts) {{
entry:
  br label %ready
ready:
  %round = phi i64 [1, %entry], [%next, %done]
  %x = phi i64 [88172645463325252, %entry], [%x1, %done]
  %aim = phi i64 [4096, %entry], [%aimed, %done]
  %a = shl i64 %x, 13
  %b = xor i64 %x, %a
  %c = lshr i64 %b, 7
  %d = xor i64 %b, %c
  %e = shl i64 %d, 17
  %x1 = xor i64 %d, %e
  store atomic i64 %round, ptr %round.p seq_cst, align 8
  %some = and i64 %x1, 63
  %turns = add i64 %some, %aim
  br label %pause
pause:
  %p = phi i64 [%turns, %ready], [%p1, %pause]
  call void asm sideeffect "", ""()
  %p1 = sub i64 %p, 1
  %again = icmp sgt i64 %p1, 0
  br i1 %again, label %pause, label %act
act:
  %result = call i64 @safe_call(ptr %state, ptr %frame)
  %pending.p = getelementptr i8, ptr %state, i64 {OFFSET['pending']}
  %early = load volatile i64, ptr %pending.p
  br label %wait
wait:
  %pending = load volatile i64, ptr %pending.p
  %none = icmp eq i64 %pending, 0
  br i1 %none, label %wait, label %done
done:
  %lost = icmp ne i64 %early, 0
  %seen = icmp eq i64 %result, {NOT_MADE}
  %woken = icmp eq i64 %result, {EINTR}
  %k0 = select i1 %lost, i64 2, i64 3
  %k1 = select i1 %woken, i64 1, i64 %k0
  %k = select i1 %seen, i64 0, i64 %k1
  %slot = getelementptr i64, ptr %counts, i64 %k
  %old = load i64, ptr %slot
  %new = add i64 %old, 1
  store i64 %new, ptr %slot
  store volatile i64 0, ptr %pending.p
  call i64 @plain_call(ptr %unblock)
  %step = select i1 %seen, i64 -16, i64 16
  %aimed = add i64 %aim, %step
  %next = add i64 %round, 1
  %more = icmp ule i64 %next, %rounds
  br i1 %more, label %ready, label %out
out:
  ret void
}}
define void @sender(ptr %round.p, ptr %frame, i64 %rounds) {{
entry:
  br label %wait
wait:
  %round = phi i64 [1, %entry], [%round, %wait], [%next, %act]
  call void asm sideeffect "pause", ""()
  %at = load atomic i64, ptr %round.p seq_cst, align 8
  %waiting = icmp uge i64 %at, %round
  br i1 %waiting, label %act, label %wait
act:
  call i64 @plain_call(ptr %frame)
  %next = add i64 %round, 1
  %over = icmp ugt i64 %next, %rounds
  br i1 %over, label %out, label %wait
out:
  ret void
}}"""
SYMBOLS = (*GLOBAL, *GUEST, "waiter", "sender")
_kept = []


def build() -> dict[str, int]:
    """Addresses of all symbols, linked into this process for good."""
    llvm.machine()                                       # initialises LLVM
    marks = "\n".join(f'module asm "{line}"' for line in BLOCK_MARK)
    module = binding.parse_assembly("\n".join(
        [f'target triple = "{llvm.triple()}"', text(PINNED), marks, LOAD, KEEP, LEAVE, SPIN, DIVIDE, DISPATCH, RACE]))
    module.verify()
    machine = binding.Target.from_default_triple().create_target_machine(opt=2, jit=True)
    library = binding.JITLibraryBuilder().add_object_img(machine.emit_object(module))
    for name in SYMBOLS:
        library.export_symbol(name)
    linked = library.link(binding.create_lljit_compiler(machine), "host")
    _kept.append(linked)
    return {name: linked[name] for name in SYMBOLS}


class Host:
    """The linked code, a small guest memory and CPUs whose control block calls all the guest functions stencils."""

    def __init__(self) -> None:
        self.symbols = build()
        self.calls = HostCalls(self.symbols)
        self.memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes = (ctypes.c_uint8 * (1 << 16)).from_buffer(self.memory)
        self.base = ctypes.addressof(self.bytes)
        self.control = (ctypes.c_uint64 * (max(CACHE.values()) // 8 + 1))()
        self.sites = (ctypes.c_uint64 * (2 * len(GUEST)))()
        by_address = sorted((self.symbols[name], n) for n, name in enumerate(GUEST))
        for n, (address, number) in enumerate(by_address):
            self.sites[2 * n], self.sites[2 * n + 1] = address, 0x1000 + number
        self.set("site_count", len(GUEST))
        self.set("sites", ctypes.addressof(self.sites))
        self.tier("stencil")

    def set(self, name: str, value: int) -> None:
        self.control[CACHE[name] // 8] = value

    def tier(self, name: str) -> None:
        """The guest functions count as code of this kind: stencil, region or image."""
        for kind in ("stencil", "region", "image"):
            self.set(f"{kind}_start", 1 if kind == name else 0)
            self.set(f"{kind}_end", 1 << 47 if kind == name else 0)

    def cpu(self) -> Cpu:
        cpu = Cpu(self.calls)
        cpu.cache, cpu.memory_base = ctypes.addressof(self.control), self.base
        return cpu

    def function(self, name: str, count: int):  # type: ignore[no-untyped-def]
        return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)(self.symbols[name])


def siginfo(cpu: Cpu, offset: int = SIGINFO) -> tuple[int, int]:
    """si_signo and si_code of what a handler copied."""
    return ctypes.c_int32.from_address(cpu.address + offset).value, \
        ctypes.c_int32.from_address(cpu.address + offset + 8).value
