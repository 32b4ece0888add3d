"""Blocks: where they end, what is cut, and that nothing crashes the decoder."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.dbt import decode, listing
from dragoman.dbt.isa.riscv import FORM

PC = 0x10000
ADDI, C_ADDI, BEQ, ECALL, RET = (bytes.fromhex(h) for h in ("13051500", "0505", "63040500", "73000000", "8280"))


def forms(records):
    return [record.form for record in records]


@pytest.mark.parametrize("last", [BEQ, ECALL, RET, bytes(2), bytes.fromhex("0f100000"), bytes.fromhex("0290")])
def test_a_block_ends_with_what_leaves_it(native, last):
    records = native(ADDI + C_ADDI + last + ADDI, PC, maximum=64)
    assert len(records) == 3 and FORM[records[-1].form].recipe.ends
    assert [record.pc - PC for record in records] == [0, 4, 6]


def test_a_block_ends_at_the_maximum(native):
    assert forms(native(ADDI * 20, PC, maximum=7)) == ["addi"] * 7


@pytest.mark.parametrize("room, whole", [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 2), (8, 2), (10, 3)])
def test_bytes_beyond_executable_memory_are_not_looked_at(native, room, whole):
    assert forms(native(ADDI + C_ADDI + ADDI, PC, maximum=64, room=room)) == (["addi"] * whole or ["fetch"])


def test_emulated_rounding_names_its_form(native):
    record, = native((0x02C5C553 & ~0x7000 | 4 << 12).to_bytes(4, "little"), PC)
    assert record.form == "emulate" and listing.riscv.FORMS[record.imm].name == "fadd.d.static" and record.rm == 4


def check(native, code):
    records = native(code, PC, maximum=64)
    assert 1 <= len(records) <= 64
    at = PC
    for record in records:
        assert record.length in (2, 4) and record.pc == at
        assert max(record.rs1, record.rs2, record.rs3) < 32 and record.rd <= 32 and record.rm < 8
        if record.form != "fetch":
            assert record.length == (4 if code[at - PC] & 3 == 3 else 2)
        at += record.length
    behind = code[at - PC:]
    cut = len(behind) < (2 if len(behind) < 2 or behind[0] & 3 != 3 else 4)
    assert FORM[records[-1].form].recipe.ends or len(records) == 64 or cut
    if records[-1].form == "fetch":             # the first one is cut off itself
        assert len(records) == 1 and at > PC + len(code)
    assert listing.disassemble(code, PC)


@given(st.binary(max_size=160))
@settings(deadline=None, max_examples=500)
def test_any_bytes_decode(native, code):
    check(native, code)


@pytest.mark.long
@given(st.binary(max_size=160))
@settings(deadline=None, max_examples=20_000)
def test_many_random_bytes_decode(native, code):
    check(native, code)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40))
@settings(deadline=None, max_examples=300)
def test_plain_python_agrees_with_native_code(native, words):
    code = b"".join(word.to_bytes(4, "little") for word in words)
    at = 0
    for record in native(code, PC, maximum=40):
        assert record == listing.decode(code[at:at + 4], PC + at)
        at += record.length


def test_a_decoder_is_made_without_capstone_and_numba(tmp_path):
    """As a warm start does: with tables from a file."""
    (tmp_path / "tables").write_bytes(decode.tables())
    code = ("import sys; from dragoman.dbt import decode; decode.Decoder(open(sys.argv[1], 'rb').read()).close();"
            "sys.exit(bool({'numba', 'llvmlite', 'capstone', 'dragoman.dbt.recipe'} & set(sys.modules)))")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "tables"], env=environment).returncode == 0
