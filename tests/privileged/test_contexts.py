"""Translation contexts: what makes code or the meaning of addresses another, and what does not."""

import itertools

import pytest

from dragoman.dbt.isa.riscv.contexts import FLOAT_OFF, TIME_OFF, VALID
from dragoman.runtime.machine.riscv.context import context_bits, switch_context
from tests.privileged.hart import FS, MPP_M, MPP_S, MPRV, MXR, SIE, SPP, SUM, TVM, XL, Hart, M, S, U

SV39, SV48 = 8 << 60, 9 << 60
TABLE = dict(mode=S, mstatus=XL | FS, satp=SV39 | 5 << 44 | 0x8_0000, mcounteren=7, scounteren=7)


@pytest.mark.parametrize("mode", [U, S, M])
@pytest.mark.parametrize("floating", [0, FS])
@pytest.mark.parametrize("mcounteren", [0, 2, 5, 7])
@pytest.mark.parametrize("scounteren", [0, 2, 5, 7])
def test_context_of_code(mode, floating, mcounteren, scounteren):
    hart = Hart(mode=mode, mstatus=XL | floating, mcounteren=mcounteren, scounteren=scounteren)
    time = mode == M or (mcounteren & 2 and (mode == S or scounteren & 2))
    expected = mode | (0 if floating else FLOAT_OFF) | (0 if time else TIME_OFF)
    assert context_bits(hart.address) == expected and expected in VALID


# What is changed in TABLE, and whether it is another context then.
CHANGES = [
    (dict(mode=U), True), (dict(mode=M), True), (dict(satp=SV48 | 5 << 44 | 0x8_0000), True), (dict(satp=0), True),
    (dict(satp=SV39 | 6 << 44 | 0x8_0000), True), (dict(satp=SV39 | 5 << 44 | 0x8_0001), True),
    (dict(satp=SV39 | 0x8005 << 44 | 0x8_0000), True), (dict(satp=SV39 | 5 << 44 | 0x20_0008_0000), True),
    (dict(mstatus=XL), True), (dict(mstatus=XL | FS | SUM), True), (dict(mstatus=XL | FS | MXR), True), (dict(mcounteren=5), True),
    (dict(scounteren=5), False), (dict(mstatus=XL | FS | SIE | SPP | TVM), False), (dict(mstatus=XL | FS | MPP_M), False),
    (dict(mcounteren=2), False), (dict(sscratch=1, medeleg=4, mie=2), False),
]


@pytest.mark.parametrize(("changes", "other"), CHANGES, ids=str)
def test_what_makes_another_context(changes, other):
    assert (Hart(**TABLE).key() != Hart(**TABLE | changes).key()) is other


@pytest.mark.parametrize(("status", "same"), [(MPRV, False), (MPRV | MPP_S, False), (MPRV | MPP_M, True), (MPP_S, True), (SUM | MXR, True)])
def test_m_mode_looks_at_tables_only_under_mprv(status, same):
    plain, other = Hart(**TABLE | dict(mode=M)), Hart(**TABLE | dict(mode=M, mstatus=XL | FS | status))
    assert (plain.key() == other.key()) is same
    other["satp"] = SV39 | 0x8_0007
    assert (plain.key() == other.key()) is same


def test_keys_differ_and_are_never_zero():
    harts = [Hart(mode=mode, mstatus=XL | status, satp=satp, mcounteren=enabled, scounteren=7) for mode, status, satp, enabled in itertools.product(
        (U, S), (0, FS, MXR, MXR | FS), (0, SV39, SV48, SV39 | 0xFFFF << 44 | (1 << 38) - 1, SV39 | 1 << 44, SV39 | 1), (0, 2))]
    keys = {hart.key() for hart in harts}
    bare = 2 * 2 * 2 * 2                # MXR says nothing where addresses are not translated
    assert len(keys) == 2 * 4 * 5 * 2 + bare // 2
    assert all(0 < key < 1 << 63 for key in keys)


def test_the_view_is_selected_only_when_the_context_is_another(memory):
    hart = Hart(**TABLE)
    for changes, _ in CHANGES[:1]:
        switch_context(hart.address)
        switch_context(hart.address)
        first = hart["view_key"]
        hart["mode"] = changes["mode"]
        switch_context(hart.address)
        assert memory.selected == [first, hart["view_key"]]
