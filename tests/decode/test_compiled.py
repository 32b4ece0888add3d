"""Compiled functions: native code does what the same function does as plain Python."""

import ctypes
import subprocess
import sys

import pytest

from dragoman.dbt import compiled as module
from dragoman.dbt.compiled import (
    CompiledError,
    below,
    build,
    call2,
    compare_and_swap64,
    compiled,
    copy_bytes,
    fetch_add,
    jit,
    load8,
    load16,
    load32,
    load32s,
    load64,
    load_acquire,
    lshr,
    relax,
    store8,
    store16,
    store32,
    store64,
    store_release,
    wrap,
)

FACTOR = 31


@compiled("i8(i8,i8)")
def smaller(a, b):
    if a < b:
        return a
    return b * FACTOR


@compiled("i8(i8,i8)")
def mixture(words, count):
    total = 0
    i = 0
    while i < count:
        total = wrap(total * FACTOR + load64(words + 8 * i))
        if not below(total, 100) and total > 0:
            total = wrap(total + smaller(total, i))
        elif total & 3 == 1 or total % 7 == 2:
            total = total // 5 if total < -10 else total << 1 & 0xFFFFFFFF
        i += 1
    for j in range(count):
        total ^= lshr(total, j & 63)
    return total


@compiled("i8(i8)")
def every_width(at):
    relax()
    store8(at, 0x1FF)
    store16(at + 2, 0x1FFFE)
    store32(at + 4, -2)
    copy_bytes(at + 16, at, 15)
    old = fetch_add(at + 32, -5)
    done = compare_and_swap64(at + 32, old - 5, 77)
    failed = compare_and_swap64(at + 32, old, 78)
    store_release(at + 40, load_acquire(at + 32) + done * 1000 + failed)
    store64(at + 48, load8(at) + load16(at + 2) * 1000 + load32(at + 4) * 3 + load32s(at + 4))
    return load64(at + 40)


@compiled("i8(i8,i8,i8)")
def through_pointer(function, a, b):
    return call2(function, a, b) + call2(function, b, a)


@compiled("i8(i8)")
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def test_arithmetic_control_and_calls_match_python():
    words = (ctypes.c_int64 * 40)(*[wrap(k * 0x9E3779B97F4A7C15) for k in range(40)])
    native, at = jit(mixture), ctypes.addressof(words)
    for count in range(41):
        assert native(at, count) == mixture(at, count)


def test_memory_primitives_match_python():
    a, b = (ctypes.c_uint8 * 64)(*range(64)), (ctypes.c_uint8 * 64)(*range(64))
    assert jit(every_width)(ctypes.addressof(a)) == every_width(ctypes.addressof(b))
    assert bytes(a) == bytes(b)


def test_calls_through_pointers():
    native = jit(smaller)
    assert jit(through_pointer)(native.address, 3, 4) == 3 + 3 * FACTOR == through_pointer(native.address, 3, 4)


def test_recursion():
    assert jit(factorial)(20) == factorial(20)


def test_void_function():
    box = ctypes.c_int64(5)

    @compiled("void(i8)")
    def bump(at):
        if load64(at) > 5:
            return
        store64(at, load64(at) + 1)
    assert jit(bump)(ctypes.addressof(box)) is None
    assert box.value == 6


def test_sums_wrap_instead_of_being_undefined():
    @compiled("i8(i8)")
    def grows(a):
        return 1 if a + 1 > a else 0
    assert jit(grows)(2**63 - 1) == 0


def test_objects_have_no_external_symbols():
    assert b"memcpy" not in build([every_width]) and b"Py" not in build([mixture, through_pointer])


@pytest.mark.parametrize("body, word", [("return a / 2", "float64"), ("return a + 0xFFFFFFFFFFFFFFFF", "int64"),
                                        ("return unknown(a)", "unknown"), ("return (a, 2)[0]", "Tuple"), ])
def test_what_is_not_integer_code_is_refused(body, word):
    names = {"compiled": compiled, "__name__": __name__}
    exec(f"@compiled('i8(i8)')\ndef wrong(a):\n    {body}\n", names)
    with pytest.raises(CompiledError, match=word):
        build([names["wrong"]])


def test_signatures_are_checked():
    with pytest.raises(CompiledError, match="i8 and void"):
        compiled("f8(i8)")
    with pytest.raises(CompiledError, match="does not take 2"):
        compiled("i8(i8,i8)")(lambda a: a)


def test_importing_compiled_functions_does_not_import_numba():
    code = "import sys, dragoman.dbt.compiled; sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_wrap():
    assert [wrap(v) for v in (2**63, -2**63 - 1, 5, 2**64)] == [-2**63, 2**63 - 1, 5, 0]
    assert module.FUNCTIONS["wrap"].returns
