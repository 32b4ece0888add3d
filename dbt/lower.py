"""The only place that turns an Op into LLVM IR: walks a recipe and asks the engine's Site for the rest."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.dbt.host import x86_64_carry_less as host_carry_less
from dragoman.dbt.host import x86_64_float as host_float
from dragoman.dbt.recipe import Op, Recipe
from dragoman.dbt.sites import Lowered, Site
from dragoman.dbt.state import CACHE

VIRTUAL_TIME = CACHE["virtual_time"]
_INTEGER_OF = {"float": "i32", "double": "i64"}
_FLOAT_OF = {32: "float", 64: "double"}
_SAME = {name: name for name in ("add", "sub", "mul", "and", "or", "xor")}
_COMPARE = {"eq", "ne", "ult", "uge", "slt", "sge"}
_SHIFT = {"shl", "lshr", "ashr"}


def _llvm(op: str, bits: int) -> str:
    return f"@llvm.{op}.i{bits}"


class Lowering:
    """The values of one recipe as they come; integers and floats convert into each other on demand, once."""

    def __init__(self, recipe: Recipe, site: Site):
        self.recipe, self.site = recipe, site
        self.values: list[Lowered] = []
        self.converted: dict[tuple[int, str], str] = {}

    def run(self) -> None:
        trapping = self.recipe.may_trap
        for op in self.recipe.ops:
            if trapping and op.name in ("load", "store", "atomic", "cas", "trap_if"):
                self.site.before_trap()
                trapping = False
            self.values.append(LOWER[op.name](self, op) or ("", "void"))

    # --- operands in the type that is asked for
    def integer(self, index: int) -> str:
        text, kind = self.values[index]
        return self._cast(index, text, kind, _INTEGER_OF[kind]) if kind in _INTEGER_OF else text

    def floating(self, index: int) -> Lowered:
        text, kind = self.values[index]
        if kind in _INTEGER_OF:
            return text, kind
        wanted = "float" if kind == "i32" else "double"
        return self._cast(index, text, kind, wanted), wanted

    def _cast(self, index: int, text: str, kind: str, wanted: str) -> str:
        key = index, wanted
        if key not in self.converted:
            self.converted[key] = self.site.emit(f"bitcast {kind} {text} to {wanted}")
        return self.converted[key]

    def bits(self, index: int) -> int:
        return self.recipe.ops[index].bits

    def value(self, op: Op, text: str) -> Lowered:
        return self.site.emit(text), f"i{op.bits}"


# --- pure ops

def _const(low: Lowering, op: Op) -> Lowered:
    text = str(op.attribute)
    return (("true" if op.attribute else "false") if op.bits == 1 else text), f"i{op.bits}"


def _by_operand(low: Lowering, op: Op) -> Lowered | None:
    """If the second argument is an operand field, through a truncation or not, and the site knows a way of its own."""
    second = low.recipe.ops[op.arguments[1]]
    while second.name == "trunc":
        second = low.recipe.ops[second.arguments[0]]
    if second.name != "operand":
        return None
    value = low.site.by_operand(op.name, op.bits, low.integer(op.arguments[0]), str(second.attribute))
    return None if value is None else (value, f"i{op.bits}")


def _or_by_operand(lower_op: Callable[[Lowering, Op], Lowered]) -> Callable[[Lowering, Op], Lowered]:
    return lambda low, op: _by_operand(low, op) or lower_op(low, op)


def _binary(low: Lowering, op: Op) -> Lowered:
    a, b = map(low.integer, op.arguments)
    return low.value(op, f"{_SAME[op.name]} i{op.bits} {a}, {b}")


def _xor(low: Lowering, op: Op) -> Lowered:
    """Another sign for a float that is one already: as an integer, it would leave the host's float registers."""
    (text, kind), sign = low.values[op.arguments[0]], low.recipe.ops[op.arguments[1]]
    if kind in _INTEGER_OF and sign.name == "const" and sign.attribute == 1 << op.bits - 1:
        return low.site.emit(f"fneg {kind} {text}"), kind
    return _binary(low, op)


def _compare(low: Lowering, op: Op) -> Lowered:
    a, b = map(low.integer, op.arguments)
    return low.value(op, f"icmp {op.name} i{low.bits(op.arguments[0])} {a}, {b}")


def _shift(low: Lowering, op: Op) -> Lowered:
    a, b = map(low.integer, op.arguments)
    amount = low.recipe.ops[op.arguments[1]]
    if amount.name == "const":
        b = str(int(amount.attribute) % op.bits)                        # type: ignore[call-overload]
    else:
        b = low.site.emit(f"and i{op.bits} {b}, {op.bits - 1}")
    return low.value(op, f"{op.name} i{op.bits} {a}, {b}")


def _rotate(low: Lowering, op: Op) -> Lowered:
    """A funnel shift of a with itself, which takes the amount modulo the width."""
    a, b = map(low.integer, op.arguments)
    return low.value(op, f"call i{op.bits} {_llvm('fshr', op.bits)}(i{op.bits} {a}, i{op.bits} {a}, i{op.bits} {b})")


def _carry_less(low: Lowering, op: Op) -> Lowered:
    a, b = map(low.integer, op.arguments)
    return host_carry_less.product(low.site, a, b, op.name == "clmulh"), "i64"


def _mulh(low: Lowering, op: Op) -> Lowered:
    site, n = low.site, op.bits
    widen = {"s": "sext", "u": "zext"}
    wide = [site.emit(f"{widen[sign]} i{n} {low.integer(i)} to i{2 * n}") for sign, i in zip(op.name[-2:], op.arguments)]
    product = site.emit(f"mul i{2 * n} {wide[0]}, {wide[1]}")
    high = site.emit(f"lshr i{2 * n} {product}, {n}")
    return low.value(op, f"trunc i{2 * n} {high} to i{n}")


def _divide(low: Lowering, op: Op) -> Lowered:
    """Guarded: a bare division by zero, or of the smallest number by -1, would kill the host process."""
    site, n = low.site, op.bits
    a, b = map(low.integer, op.arguments)
    bad = site.emit(f"icmp eq i{n} {b}, 0")
    if op.name[0] == "s":
        smallest = site.emit(f"icmp eq i{n} {a}, {1 << (n - 1)}")
        minus_one = site.emit(f"icmp eq i{n} {b}, -1")
        overflow = site.emit(f"and i1 {smallest}, {minus_one}")
        bad = site.emit(f"or i1 {bad}, {overflow}")
    divisor = site.emit(f"select i1 {bad}, i{n} 1, i{n} {b}")
    return low.value(op, f"{op.name} i{n} {a}, {divisor}")


def _select(low: Lowering, op: Op) -> Lowered:
    condition, a, b = op.arguments
    if low.values[a][1] in _INTEGER_OF and low.values[a][1] == low.values[b][1]:
        kind = low.values[a][1]
        return low.site.emit(f"select i1 {low.integer(condition)}, {kind} {low.values[a][0]}, {kind} {low.values[b][0]}"), kind
    return low.value(op, f"select i1 {low.integer(condition)}, i{op.bits} {low.integer(a)}, i{op.bits} {low.integer(b)}")


def _resize(low: Lowering, op: Op) -> Lowered:
    return low.value(op, f"{op.name} i{low.bits(op.arguments[0])} {low.integer(op.arguments[0])} to i{op.bits}")


def _count(low: Lowering, op: Op) -> Lowered:
    exact = ", i1 false" if op.name in ("ctlz", "cttz") else ""
    return low.value(op, f"call i{op.bits} {_llvm(op.name, op.bits)}(i{op.bits} {low.integer(op.arguments[0])}{exact})")


def _clock(low: Lowering, op: Op) -> Lowered:
    if low.site.count_instructions and op.attribute != "time":
        return low.site.get_field("instructions"), "i64"
    ticks = low.value(op, "call i64 @llvm.readcyclecounter()")
    if not (low.site.model.paged and op.attribute == "time"):
        return ticks
    return _scaled(low.site, _virtual(low.site, ticks[0]) if low.site.count_instructions else ticks[0])


def _virtual(site: Site, ticks: str) -> str:
    """What a clock shows (clocks.py), where that may be virtual time."""
    cache = site.emit(f"load ptr, ptr {site.field_pointer('cache')}, align 8")
    virtual = site.emit(f"load i64, ptr {site.emit(f'getelementptr i8, ptr {cache}, i64 {VIRTUAL_TIME}')}, align 8")
    real = site.emit(f"icmp eq i64 {virtual}, 0")
    return site.emit(f"select i1 {real}, i64 {ticks}, i64 {site.get_field('instructions')}")


def _scaled(site: Site, ticks: str) -> Lowered:
    """The guest's time by the host's clock: clock_offset + ((ticks - clock_base) * clock_scale >> 64)."""
    passed = site.emit(f"sub i64 {ticks}, {site.get_field('clock_base')}")
    wide = [site.emit(f"zext i64 {value} to i128") for value in (passed, site.get_field("clock_scale"))]
    high = site.emit(f"lshr i128 {site.emit(f'mul i128 {wide[0]}, {wide[1]}')}, 64")
    return site.emit(f"add i64 {site.emit(f'trunc i128 {high} to i64')}, {site.get_field('clock_offset')}"), "i64"


# --- floating point

def _fp(low: Lowering, op: Op) -> Lowered:
    operands = [low.floating(i) for i in op.arguments]
    return host_float.arithmetic(low.site, op.name, operands, str(op.attribute))


def _fp_compare(low: Lowering, op: Op) -> Lowered:
    a, b = (low.floating(i) for i in op.arguments)
    return host_float.compare(low.site, op.name, a, b), "i1"


def _fconvert(low: Lowering, op: Op) -> Lowered:
    return host_float.convert(low.site, low.floating(op.arguments[0]), _FLOAT_OF[op.bits], str(op.attribute))


def _fcanon(low: Lowering, op: Op) -> Lowered:
    text, kind = low.floating(op.arguments[0])
    return host_float.canonical(low.site, text, kind, int(op.attribute)), kind      # type: ignore[call-overload]


def _to_integer(low: Lowering, op: Op) -> Lowered:
    return host_float.to_integer(low.site, low.floating(op.arguments[0]), op.bits, op.name == "f_to_s", str(op.attribute)), f"i{op.bits}"


def _from_integer(low: Lowering, op: Op) -> Lowered:
    value = low.integer(op.arguments[0]), low.bits(op.arguments[0])
    return host_float.from_integer(low.site, *value, _FLOAT_OF[op.bits], op.name == "s_to_f", str(op.attribute))


# --- state

def _set(low: Lowering, op: Op) -> None:
    file, field = op.attribute                                          # type: ignore[misc]
    low.site.put(file, field, low.values[op.arguments[0]])  # type: ignore


# --- memory

_EXTREME = {"min": "slt", "max": "sgt", "umin": "ult", "umax": "ugt"}      # how the old value compares, if it stays


def _read(site: Site, pointer: str, kind: str) -> str:
    return site.emit(f"load {'volatile ' * site.shared}{kind}, ptr {pointer}, align 1")


def _write(site: Site, pointer: str, value: str, kind: str) -> None:
    site.do(f"store {'volatile ' * site.shared}{kind} {value}, ptr {pointer}, align 1")


def _load(low: Lowering, op: Op) -> Lowered:
    pointer = low.site.access(low.integer(op.arguments[0]), op.bits // 8, write=False)
    return _read(low.site, pointer, f"i{op.bits}"), f"i{op.bits}"


def _store(low: Lowering, op: Op) -> None:
    value, kind = low.values[op.arguments[1]]
    pointer = low.site.access(low.integer(op.arguments[0]), low.bits(op.arguments[1]) // 8, write=True)
    _write(low.site, pointer, value, kind)


def _atomic(low: Lowering, op: Op) -> Lowered:
    site, kind = low.site, f"i{op.bits}"
    pointer = site.access(low.integer(op.arguments[0]), op.bits // 8, write=True)
    operation = str(op.attribute)
    value = site.opaque(low.integer(op.arguments[1]), kind)
    if not site.alone:
        return low.value(op, f"atomicrmw {'xchg' if operation == 'swap' else operation} ptr {pointer}, {kind} {value} seq_cst")
    old = _read(site, pointer, kind)
    if operation in _EXTREME:
        better = site.emit(f"icmp {_EXTREME[operation]} {kind} {old}, {value}")
        value = site.emit(f"select i1 {better}, {kind} {old}, {kind} {value}")
    elif operation != "swap":
        value = site.emit(f"{operation} {kind} {old}, {value}")
    _write(site, pointer, value, kind)
    return old, kind


def _cas(low: Lowering, op: Op) -> Lowered:
    site, bits = low.site, low.bits(op.arguments[1])
    address, expected, new, when = map(low.integer, op.arguments)
    before, exchange, done = site.label, site.name(), site.name()
    site.do(f"br i1 {when}, label %{exchange}, label %{done}")
    site.start(exchange)
    pointer = site.access(address, bits // 8, write=True)
    if site.alone:
        # What does not fit is stored again: the page must be writable in any case.
        old = _read(site, pointer, f"i{bits}")
        success = site.emit(f"icmp eq i{bits} {old}, {expected}")
        value = site.emit(f"select i1 {success}, i{bits} {new}, i{bits} {old}")
        _write(site, pointer, value, f"i{bits}")
        exchange = site.label
    else:
        pair = site.emit(f"cmpxchg ptr {pointer}, i{bits} {expected}, i{bits} {new} seq_cst seq_cst")
        exchange = site.label
        success = site.emit(f"extractvalue {{ i{bits}, i1 }} {pair}, 1")
    site.do(f"br label %{done}")
    site.start(done)
    return low.value(op, f"phi i1 [ false, %{before} ], [ {success}, %{exchange} ]")


def _fence(low: Lowering, op: Op) -> None:
    only_here = 'syncscope("singlethread") ' * low.site.alone
    low.site.do(f"fence {only_here}seq_cst" if op.attribute == "full" else f"fence {only_here}acq_rel")


def _trap_if(low: Lowering, op: Op) -> None:
    site = low.site
    trapped, on = site.name(), site.name()
    site.do(f"br i1 {low.integer(op.arguments[0])}, label %{trapped}, label %{on}, !prof !0")
    site.start(trapped)
    site.trap(str(op.attribute), low.integer(op.arguments[1]))
    site.start(on)


# --- ends

def _branch(low: Lowering, op: Op) -> None:
    low.site.branch(low.integer(op.arguments[0]))


def _jump_to(low: Lowering, op: Op) -> None:
    address = low.recipe.ops[op.arguments[0]]
    mask = low.recipe.ops[address.arguments[1]] if address.name == "and" else None
    if mask is not None and mask.name == "const":
        low.site.jump_to(low.integer(op.arguments[0]), str(op.attribute), low.integer(address.arguments[0]), int(mask.attribute))  # type: ignore[call-overload]
    else:
        low.site.jump_to(low.integer(op.arguments[0]), str(op.attribute))


def _trap(low: Lowering, op: Op) -> None:
    low.site.trap(str(op.attribute), low.integer(op.arguments[0]))


LOWER: dict[str, Callable[[Lowering, Op], Lowered | None]] = {
    "const": _const, "select": _select, "clock": _clock, "fconvert": _fconvert, "fcanon": _fcanon,
    "operand": lambda low, op: (low.site.operand(str(op.attribute)), "i64"),
    "pc": lambda low, op: (low.site.pc(), "i64"), "next_pc": lambda low, op: (low.site.next_pc(), "i64"),
    **dict.fromkeys(_SAME, _or_by_operand(_binary)), "xor": _or_by_operand(_xor),
    **dict.fromkeys(_COMPARE, _compare), **dict.fromkeys(_SHIFT, _or_by_operand(_shift)),
    "rotr": _or_by_operand(_rotate), "clmul": _carry_less, "clmulh": _carry_less,
    **dict.fromkeys(("mulh_ss", "mulh_su", "mulh_uu"), _mulh), **dict.fromkeys(("udiv", "urem", "sdiv", "srem"), _divide),
    **dict.fromkeys(("trunc", "sext", "zext"), _resize), **dict.fromkeys(("ctlz", "cttz", "ctpop", "bswap"), _count),
    **dict.fromkeys(("fadd", "fsub", "fmul", "fdiv", "fsqrt", "fma"), _fp),
    **dict.fromkeys(("feq", "flt", "fle", "flt_quiet"), _fp_compare),
    "f_to_s": _to_integer, "f_to_u": _to_integer, "s_to_f": _from_integer, "u_to_f": _from_integer,
    "get": lambda low, op: low.site.get(*op.attribute),                 # type: ignore[misc]
    "get_field": lambda low, op: (low.site.get_field(str(op.attribute)), "i64"),
    "set": _set, "set_field": lambda low, op: low.site.set_field(str(op.attribute), low.integer(op.arguments[0])),
    "get_flags": lambda low, op: (host_float.get_flags(low.site), "i64"),
    "set_flags": lambda low, op: host_float.set_flags(low.site, low.integer(op.arguments[0])),
    "raise_flags": lambda low, op: host_float.raise_flags(low.site, low.integer(op.arguments[0])),
    "set_rounding": lambda low, op: host_float.set_rounding(low.site, low.integer(op.arguments[0])),
    "load": _load, "store": _store, "atomic": _atomic, "cas": _cas, "fence": _fence, "trap_if": _trap_if,
    "branch": _branch, "jump": lambda low, op: low.site.jump(), "jump_to": _jump_to, "trap": _trap,
}

# What every module of lowered code has at its end: profile weights for branches that are hardly ever taken.
METADATA = '!0 = !{!"branch_weights", i32 1, i32 1000000}\n!1 = !{}'


def lower(recipe: Recipe, site: Site) -> None:
    """Append the IR of a recipe to the site's lines. An end op closes the function; otherwise the site goes on."""
    Lowering(recipe, site).run()
