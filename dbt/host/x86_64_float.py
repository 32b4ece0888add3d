"""Floating point on an x86-64 host: constrained intrinsics, so that rounding mode and flags live in MXCSR.

Rounding modes and flags are the recipe's (recipe.py). Flag bits differ: MXCSR has invalid 0, denormal 1, divide 2,
overflow 3, underflow 4, inexact 5; rounding control bits 13-14: nearest, down, up, zero (Intel SDM vol. 1, 10.2.3).
"""

from __future__ import annotations

from dragoman.dbt.recipe import DYNAMIC, STATIC
from dragoman.dbt.sites import Lowered, Site

_SUFFIX = {"float": "f32", "double": "f64"}
_STRICT = 'metadata !"fpexcept.strict") strictfp'
_ROUND = f'metadata !"round.dynamic", {_STRICT}'
_RC_OF_MODE = 0b10_01_11_00                     # two bits each: rne, rtz, rdn, rup -> MXCSR.RC
_RC_MASK = 0x6000
_TO_INTEGRAL = {"rne": "roundeven", "rtz": "trunc", "rdn": "floor", "rup": "ceil"}
# guest flag bit -> MXCSR bit
_FLAG_SHIFTS = ((16, 0x01, 4), (8, 0x04, 1), (4, 0x08, -1), (2, 0x10, -3), (1, 0x20, -5))


def _intrinsic(op: str, kind: str) -> str:
    return f"@llvm.experimental.constrained.{op}.{_SUFFIX[kind]}"


def _call(site: Site, op: str, kind: str, operands: list[str], rounds: bool = True) -> str:
    arguments = ", ".join(f"{kind} {o}" for o in operands)
    return site.emit(f"call {kind} {_intrinsic(op, kind)}({arguments}, {_ROUND if rounds else _STRICT}")


def arithmetic(site: Site, op: str, operands: list[Lowered], rounding: str) -> Lowered:
    """fadd, fsub, fmul, fdiv, fsqrt, fma."""
    kind = operands[0][1]
    name = {"fsqrt": "sqrt"}.get(op, op)
    result = _rounded(site, rounding, lambda: _call(site, name, kind, [o[0] for o in operands]))
    if op == "fma":
        _raise_for_infinity_by_zero(site, kind, operands[0][0], operands[1][0], result)
    return result, kind


def _raise_for_infinity_by_zero(site: Site, kind: str, a: str, b: str, result: str) -> None:
    """x86's fma does not raise invalid for infinity * 0 + quiet NaN: if the result is a NaN, multiply what is left of
    a and b when everything but infinity and 0 counts as 1."""
    cold, on = site.name(), site.name()
    test = site.emit(f"fcmp uno {kind} {result}, {result}")
    site.do(f"br i1 {test}, label %{cold}, label %{on}, !prof !0")
    site.start(cold)
    classes = []
    for value in (a, b):
        size = site.emit(f"call {kind} @llvm.fabs.{_SUFFIX[kind]}({kind} {value})")
        infinite = site.emit(f"fcmp oeq {kind} {size}, {_constant(float('inf'), kind)}")
        zero = site.emit(f"fcmp oeq {kind} {size}, {_constant(0.0, kind)}")
        finite = site.emit(f"select i1 {zero}, {kind} {_constant(0.0, kind)}, {kind} {_constant(1.0, kind)}")
        classes.append(site.emit(f"select i1 {infinite}, {kind} {size}, {kind} {finite}"))
    _call(site, "fmul", kind, classes)
    site.do(f"br label %{on}")
    site.start(on)


def convert(site: Site, value: Lowered, kind: str, rounding: str) -> Lowered:
    text, source = value
    if kind == "double":
        return site.emit(f"call double @llvm.experimental.constrained.fpext.f64.f32(float {text}, {_STRICT}"), kind
    narrow = f"call float @llvm.experimental.constrained.fptrunc.f32.f64(double {text}, {_ROUND}"
    return _rounded(site, rounding, lambda: site.emit(narrow)), kind


def compare(site: Site, op: str, a: Lowered, b: Lowered) -> str:
    predicate, quiet = {"feq": ("oeq", True), "flt": ("olt", False), "fle": ("ole", False), "flt_quiet": ("olt", True)}[op]
    kind = a[1]
    name = "fcmp" if quiet else "fcmps"
    return site.emit(f'call i1 {_intrinsic(name, kind)}({kind} {a[0]}, {kind} {b[0]}, metadata !"{predicate}", {_STRICT}')


def canonical(site: Site, text: str, kind: str, nan: int) -> str:
    """The value, or the NaN of that bit pattern: a branch hardly ever taken, off the path of the value."""
    bad, on, before = site.name(), site.name(), site.label
    test = site.emit(f"fcmp uno {kind} {text}, {text}")
    constant = site.emit(f"bitcast {'i32' if kind == 'float' else 'i64'} {nan} to {kind}")
    site.do(f"br i1 {test}, label %{bad}, label %{on}, !prof !0")
    site.start(bad)
    site.do(f"br label %{on}")
    site.start(on)
    return site.emit(f"phi {kind} [ {text}, %{before} ], [ {constant}, %{bad} ]")


def _constant(value: float, kind: str) -> str:
    """A float constant as LLVM writes it: the bits of the double."""
    import struct
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _to_i(site: Site, op: str, bits: int, text: str, kind: str) -> str:
    return site.emit(f"call i{bits} @llvm.experimental.constrained.{op}.i{bits}.{_SUFFIX[kind]}({kind} {text}, {_STRICT}")


def to_integer(site: Site, value: Lowered, bits: int, signed: bool, rounding: str) -> str:
    """Saturating conversion: NaN and too large give the largest, too small the smallest, both raise invalid."""
    text, kind = value
    largest = (1 << (bits - 1)) - 1 if signed else -1
    smallest = -(1 << (bits - 1)) if signed else 0
    if signed and rounding == "rtz":            # cvttsd2si: the smallest number stands for every failure
        result = _to_i(site, "fptosi", bits, text, kind)
        failed = site.emit(f"icmp eq i{bits} {result}, {smallest}")
        negative = site.emit(f"fcmp olt {kind} {text}, {_constant(0.0, kind)}")
        fixed = site.emit(f"select i1 {negative}, i{bits} {smallest}, i{bits} {largest}")
        return site.emit(f"select i1 {failed}, i{bits} {fixed}, i{bits} {result}")
    integral = _to_integral(site, text, kind, rounding)
    low = site.emit(f"fcmp oge {kind} {integral}, {_constant(float(smallest), kind)}")
    high = site.emit(f"fcmp olt {kind} {integral}, {_constant(2.0 ** (bits - signed), kind)}")
    fits = site.emit(f"and i1 {low}, {high}")
    safe = site.emit(f"select i1 {fits}, {kind} {integral}, {kind} {_constant(0.0, kind)}")
    if signed:
        result = _to_i(site, "fptosi", bits, safe, kind)
    elif bits == 32:
        result = site.emit(f"trunc i64 {_to_i(site, 'fptosi', 64, safe, kind)} to i32")
    else:
        result = _to_u64(site, safe, kind)
    exact = site.emit(f"fcmp oeq {kind} {integral}, {text}")
    # One conversion that raises what is due: of 0 nothing, of 0.5 inexact, of a NaN invalid.
    half, nan = _constant(0.5, kind), "0x7FF8000000000000"
    flag = site.emit(f"select i1 {exact}, {kind} {_constant(0.0, kind)}, {kind} {half}")
    flag = site.emit(f"select i1 {fits}, {kind} {flag}, {kind} {nan}")
    _to_i(site, "fptosi", 32, flag, kind)
    below = site.emit(f"fcmp olt {kind} {integral}, {_constant(0.0, kind)}")
    limit = site.emit(f"select i1 {below}, i{bits} {smallest}, i{bits} {largest}")
    return site.emit(f"select i1 {fits}, i{bits} {result}, i{bits} {limit}")


def _to_u64(site: Site, text: str, kind: str) -> str:
    """An integral value in 0 .. 2^64 - 1 to an unsigned integer, exactly."""
    border = _constant(2.0 ** 63, kind)
    large = site.emit(f"fcmp oge {kind} {text}, {border}")
    offset = site.emit(f"select i1 {large}, {kind} {border}, {kind} {_constant(0.0, kind)}")
    rest = _to_i(site, "fptosi", 64, _call(site, "fsub", kind, [text, offset]), kind)
    top = site.emit(f"select i1 {large}, i64 {-1 << 63}, i64 0")
    return site.emit(f"xor i64 {rest}, {top}")


def _to_integral(site: Site, text: str, kind: str, rounding: str) -> str:
    """Rounded to an integral value without raising inexact."""
    if rounding == DYNAMIC:
        return _call(site, "nearbyint", kind, [text])
    if rounding in _TO_INTEGRAL:
        return _call(site, _TO_INTEGRAL[rounding], kind, [text], rounds=False)
    whole = _call(site, "trunc", kind, [text], rounds=False)         # ties away: what was cut off is exact
    rest = site.emit(f"call {kind} @llvm.fabs.{_SUFFIX[kind]}({kind} {_call(site, 'fsub', kind, [text, whole])})")
    up = site.emit(f"fcmp oge {kind} {rest}, {_constant(0.5, kind)}")
    one = site.emit(f"call {kind} @llvm.copysign.{_SUFFIX[kind]}({kind} {_constant(1.0, kind)}, {kind} {text})")
    step = site.emit(f"select i1 {up}, {kind} {one}, {kind} {_constant(0.0, kind)}")
    return _call(site, "fadd", kind, [whole, step])


def from_integer(site: Site, text: str, bits: int, kind: str, signed: bool, rounding: str) -> Lowered:
    def convert_signed(value: str, width: int) -> str:
        return site.emit(f"call {kind} @llvm.experimental.constrained.sitofp.{_SUFFIX[kind]}.i{width}(i{width} {value}, {_ROUND}")

    def build() -> str:
        if signed:
            return convert_signed(text, bits)
        if bits == 32:
            return convert_signed(site.emit(f"zext i32 {text} to i64"), 64)
        # Halved with the lost bit kept (sticky), converted, doubled: rounded once, in every mode.
        negative = site.emit(f"icmp slt i64 {text}, 0")
        half, odd = site.emit(f"lshr i64 {text}, 1"), site.emit(f"and i64 {text}, 1")
        sticky = site.emit(f"or i64 {half}, {odd}")
        once = convert_signed(site.emit(f"select i1 {negative}, i64 {sticky}, i64 {text}"), 64)
        doubled = _call(site, "fadd", kind, [once, once])
        return site.emit(f"select i1 {negative}, {kind} {doubled}, {kind} {once}")
    return _rounded(site, rounding, build), kind


# --- MXCSR

def _read(site: Site) -> str:
    pointer = site.field_pointer("scratch0")
    site.do(f"call void @llvm.x86.sse.stmxcsr(ptr {pointer})")
    return site.emit(f"load i32, ptr {pointer}, align 8")


def _write(site: Site, value: str) -> None:
    pointer = site.field_pointer("scratch0")
    site.do(f"store i32 {value}, ptr {pointer}, align 8")
    site.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {pointer})")


def _control(site: Site, mode: str) -> str:
    """Rounding mode 0..3 (i64 text) as the RC bits of MXCSR (i32)."""
    narrow = site.emit(f"trunc i64 {mode} to i32")
    twice = site.emit(f"shl i32 {narrow}, 1")
    bits = site.emit(f"and i32 {site.emit(f'lshr i32 {_RC_OF_MODE}, {twice}')}, 3")
    return site.emit(f"shl i32 {bits}, 13")


def _replace(site: Site, old: str, mask: int, new: str) -> str:
    kept = site.emit(f"and i32 {old}, {~mask}")
    return site.emit(f"or i32 {kept}, {new}")


def _rounded(site: Site, rounding: str, compute) -> str:        # type: ignore[no-untyped-def]
    """compute() under the instruction's own rounding mode; flags raised are kept, the dynamic mode comes back."""
    if rounding != STATIC:
        return str(compute())
    old = _read(site)
    _write(site, _replace(site, old, _RC_MASK, _control(site, site.operand("rm"))))
    result = str(compute())
    mode = site.emit(f"and i32 {old}, {_RC_MASK}")
    _write(site, _replace(site, _read(site), _RC_MASK, mode))
    return result


def set_rounding(site: Site, mode: str) -> None:
    """Modes above 3 leave RC as it is: the caller has sent them elsewhere."""
    old = _read(site)
    good = site.emit(f"icmp ult i64 {mode}, 4")
    current = site.emit(f"and i32 {old}, {_RC_MASK}")
    safe = site.emit(f"and i64 {mode}, 3")
    chosen = site.emit(f"select i1 {good}, i32 {_control(site, safe)}, i32 {current}")
    _write(site, _replace(site, old, _RC_MASK, chosen))


def get_flags(site: Site) -> str:
    register = _read(site)
    parts = []
    for _, host, shift in _FLAG_SHIFTS:
        bit = site.emit(f"and i32 {register}, {host}")
        parts.append(site.emit(f"shl i32 {bit}, {shift}" if shift > 0 else f"lshr i32 {bit}, {-shift}"))
    total = parts[0]
    for part in parts[1:]:
        total = site.emit(f"or i32 {total}, {part}")
    return site.emit(f"zext i32 {total} to i64")


def _host_flags(site: Site, flags: str) -> str:
    narrow = site.emit(f"trunc i64 {flags} to i32")
    total = "0"
    for guest, _, shift in _FLAG_SHIFTS:
        bit = site.emit(f"and i32 {narrow}, {guest}")
        moved = site.emit(f"lshr i32 {bit}, {shift}" if shift > 0 else f"shl i32 {bit}, {-shift}")
        total = site.emit(f"or i32 {total}, {moved}")
    return total


def set_flags(site: Site, flags: str) -> None:
    _write(site, _replace(site, _read(site), 0x3F, _host_flags(site, flags)))


def raise_flags(site: Site, flags: str) -> None:
    _write(site, site.emit(f"or i32 {_read(site)}, {_host_flags(site, flags)}"))
