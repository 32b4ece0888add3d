"""Python functions on 64-bit integers and raw addresses, which Numba turns into the engine's native code.

`@compiled("i8(i8,i8)")` only notes the function and returns it as it is: importing costs nothing, and each function
runs as plain Python in a test. `build` (which imports Numba) gives one relocatable object; image.py links it.

Inside: int64 locals, `if`, `while`, `for ... in range`, calls of compiled functions and of the primitives below, and
integer constants of the module (within int64); no exceptions, arrays, tuples, floats. Compiled arithmetic wraps at 64
bits and `>>` keeps the sign; plain Python does not wrap, so put `wrap()` around what may overflow: it costs nothing
when compiled.
"""

from __future__ import annotations

import ctypes

# A warm start imports this: so no dataclass, no inspect, no collections.abc, which cost 20 ms.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Compiled:
    """A function known by name. `body` is LLVM IR for a primitive, None for what Numba compiles."""
    __slots__ = ("arguments", "body", "function", "returns")

    def __init__(self, function: Callable, arguments: int, returns: bool, body: str | None):
        self.function, self.arguments, self.returns, self.body = function, arguments, returns, body


FUNCTIONS: dict[str, Compiled] = {}


class CompiledError(Exception):
    """A function is not what Numba can turn into bare native code; our bug, found when the engine is built."""


def compiled(signature: str) -> Callable[[Callable], Callable]:
    """Note a module-level function; `signature` is i8(...) or void(...), with an i8 per argument."""
    return _note(signature, None)


def primitive(signature: str, body: str) -> Callable[[Callable], Callable]:
    """Note a function that is this LLVM IR when compiled; its arguments are %a %b ... in it."""
    return _note(signature, body)


def _note(signature: str, body: str | None) -> Callable[[Callable], Callable]:
    result, _, arguments = signature.partition("(")
    kinds = [a for a in arguments.rstrip(")").split(",") if a]
    if result not in ("i8", "void") or set(kinds) - {"i8"} or not arguments.endswith(")"):
        raise CompiledError(f"signature {signature}: only i8 and void")

    def note(function: Callable) -> Callable:
        name = function.__name__
        known = FUNCTIONS.get(name)
        if known and known.function.__module__ != function.__module__:
            raise CompiledError(f"{name} is compiled in both {known.function.__module__} and {function.__module__}")
        if body is None and function.__code__.co_argcount != len(kinds):
            raise CompiledError(f"{name} does not take {len(kinds)} arguments")
        FUNCTIONS[name] = Compiled(function, len(kinds), result == "i8", body)
        return function
    return note


# --- primitives: plain Python through ctypes here, LLVM IR when compiled (%a %b ... are the arguments)

def wrap(value: int) -> int:
    """The low 64 bits as a signed number; nothing when compiled."""
    return ((value + 0x8000_0000_0000_0000) & 0xFFFF_FFFF_FFFF_FFFF) - 0x8000_0000_0000_0000


_note("i8(i8)", "ret i64 %a")(wrap)


def _memory(bits: int, signed: bool, name: str, order: str = "") -> tuple[Callable, Callable]:
    ctype = getattr(ctypes, f"c_{'' if signed else 'u'}int{bits}")
    atomic = "atomic " if order else ""
    widen = f"%r = {'sext' if signed else 'zext'} i{bits} %v to i64\n  ret i64 %r" if bits < 64 else "ret i64 %v"
    narrow = f"%v = trunc i64 %b to i{bits}\n  " if bits < 64 else "%v = add i64 %b, 0\n  "
    align = bits // 8 if order else 1

    def load(address: int) -> int:
        return ctype.from_address(address).value

    def store(address: int, value: int) -> None:
        ctype.from_address(address).value = value
    load.__name__, store.__name__ = f"load{name}", f"store{name}"
    _note("i8(i8)", f"%p = inttoptr i64 %a to ptr\n  %v = load {atomic}i{bits}, ptr %p "
          f"{'acquire' if order else ''}, align {align}\n  {widen}")(load)
    _note("void(i8,i8)", f"%p = inttoptr i64 %a to ptr\n  {narrow}store {atomic}i{bits} %v, ptr %p "
          f"{'release' if order else ''}, align {align}\n  ret void")(store)
    return load, store


load8, store8 = _memory(8, False, "8")              # unsigned
load16, store16 = _memory(16, False, "16")
load32, store32 = _memory(32, False, "32")
load32s, _ = _memory(32, True, "32s")
load64, store64 = _memory(64, True, "64")           # signed: every value is an int64
# For what other threads change without a lock: 64 bits, aligned, ordered before (after) all that follows (went before).
load_acquire, store_release = _memory(64, True, "_ordered", "ordered")


@_note("void(i8,i8,i8)", """br label %head8
head8:
  %i = phi i64 [0, %entry], [%i8, %body8]
  %i8 = add i64 %i, 8
  %more8 = icmp sle i64 %i8, %c
  br i1 %more8, label %body8, label %head1
body8:
  %from8 = add i64 %b, %i
  %fp8 = inttoptr i64 %from8 to ptr
  %v8 = load i64, ptr %fp8, align 1
  %to8 = add i64 %a, %i
  %tp8 = inttoptr i64 %to8 to ptr
  store i64 %v8, ptr %tp8, align 1
  br label %head8
head1:
  %j = phi i64 [%i, %head8], [%j1, %body1]
  %more1 = icmp slt i64 %j, %c
  br i1 %more1, label %body1, label %done
body1:
  %from1 = add i64 %b, %j
  %fp1 = inttoptr i64 %from1 to ptr
  %v1 = load i8, ptr %fp1, align 1
  %to1 = add i64 %a, %j
  %tp1 = inttoptr i64 %to1 to ptr
  store i8 %v1, ptr %tp1, align 1
  %j1 = add i64 %j, 1
  br label %head1
done:
  ret void""")
def copy_bytes(to: int, source: int, count: int) -> None:
    """Copy `count` bytes that do not overlap. A loop, not memcpy: native code of the engine has no external symbols."""
    ctypes.memmove(to, source, count)


@_note("i8(i8,i8)", """%p = inttoptr i64 %a to ptr
  %r = atomicrmw add ptr %p, i64 %b seq_cst
  ret i64 %r""")
def fetch_add(address: int, value: int) -> int:
    """The old 64-bit word at `address`, which has `value` added."""
    old = load64(address)
    store64(address, wrap(old + value))
    return old


@_note("i8(i8,i8)", """%p = inttoptr i64 %a to ptr
  %r = atomicrmw or ptr %p, i64 %b seq_cst
  ret i64 %r""")
def fetch_or(address: int, bits: int) -> int:
    """The old 64-bit word at `address`, in which `bits` are set."""
    old = load64(address)
    store64(address, old | bits)
    return old


@_note("i8(i8,i8)", """%p = inttoptr i64 %a to ptr
  %r = atomicrmw and ptr %p, i64 %b seq_cst
  ret i64 %r""")
def fetch_and(address: int, bits: int) -> int:
    """The old 64-bit word at `address`, of which only `bits` are kept."""
    old = load64(address)
    store64(address, old & bits)
    return old


@_note("i8(i8,i8,i8)", """%p = inttoptr i64 %a to ptr
  %x = cmpxchg ptr %p, i64 %b, i64 %c seq_cst seq_cst
  %d = extractvalue { i64, i1 } %x, 1
  %r = zext i1 %d to i64
  ret i64 %r""")
def compare_and_swap64(address: int, old: int, new: int) -> int:
    """1 if the word at `address` was `old` and now is `new`, else 0."""
    if load64(address) != old:
        return 0
    store64(address, new)
    return 1


@_note("void()", """call void @llvm.x86.sse2.pause()
  ret void""")
def relax() -> None:
    """What a spinning loop does between looks."""


@_note("i8()", "%r = call i64 @llvm.readcyclecounter()\n  ret i64 %r")
def clock() -> int:
    """The host's clock, in ticks of a length that Engine.statistics finds out."""
    from time import perf_counter_ns
    return perf_counter_ns()


@_note("i8(i8,i8)", "%n = and i64 %b, 63\n  %r = lshr i64 %a, %n\n  ret i64 %r")
def lshr(value: int, count: int) -> int:
    """`value` shifted right with zeros coming in; `count` 0..63."""
    return wrap((value & 0xFFFF_FFFF_FFFF_FFFF) >> count)


@_note("i8(i8,i8)", "%c = icmp ult i64 %a, %b\n  %r = zext i1 %c to i64\n  ret i64 %r")
def below(a: int, b: int) -> int:
    """1 if a < b as unsigned numbers, else 0."""
    return int(a & 0xFFFF_FFFF_FFFF_FFFF < b & 0xFFFF_FFFF_FFFF_FFFF)


@_note("i8(i8,i8)", """%x = zext i64 %a to i128
  %y = zext i64 %b to i128
  %p = mul i128 %x, %y
  %h = lshr i128 %p, 64
  %r = trunc i128 %h to i64
  ret i64 %r""")
def multiply_high(a: int, b: int) -> int:
    """The upper half of a * b, both unsigned."""
    return wrap((a & 0xFFFF_FFFF_FFFF_FFFF) * (b & 0xFFFF_FFFF_FFFF_FFFF) >> 64)


def _caller(count: int) -> Callable:
    names = "bcdefgh"[:count]
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)

    def call(address: int, *arguments: int) -> int:
        return kind(address)(*arguments)
    call.__name__ = f"call{count}"
    arguments = ", ".join(f"i64 %{n}" for n in names)
    _note(f"i8({','.join(['i8'] * (count + 1))})",
          f"%p = inttoptr i64 %a to ptr\n  %r = call i64 %p({arguments})\n  ret i64 %r")(call)
    return call


# Call the C function at an address with integers or pointers; a bool or int result: mask it yourself.
call0, call1, call2, call3, call4, call5, call6 = map(_caller, range(7))


# --- from Python to native code

def build(functions: Iterable[Callable], level: int = 2) -> bytes:
    """One relocatable x86-64 object with a C-ABI symbol per function, by its name; callees are compiled with it."""
    from dragoman.dbt import llvm
    module = llvm.parse(ir(functions))
    llvm.optimize(module, level)
    return llvm.emit(module)


def ir(functions: Iterable[Callable]) -> str:
    """LLVM IR of the functions and all that they call; only `functions` are visible outside."""
    from dragoman.dbt import numba_ir
    return numba_ir.module([f.__name__ for f in functions])


def jit(function: Callable) -> Callable:
    """The function compiled in this process, for tests and tools: takes and returns ints; `.address` is its address."""
    from dragoman.dbt.host.linker import link
    known = FUNCTIONS[function.__name__]
    address = link([build([function])]).map().symbols[function.__name__]
    native = ctypes.CFUNCTYPE(ctypes.c_int64 if known.returns else None,
                              *[ctypes.c_int64] * known.arguments)(address)
    native.address = address                                                  # type: ignore[attr-defined]
    return native
