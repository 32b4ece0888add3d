"""Carry-less products on a host that has no instruction for them."""

from __future__ import annotations

import pytest

from dragoman.dbt import llvm, stencils
from dragoman.dbt.host import x86_64_carry_less
from dragoman.dbt.isa import riscv
from tests.engines.regions import REGIONS
from tests.isa.case import compare
from tests.isa.engines import ORACLE
from tests.isa.grid import grids

PRODUCTS = ("clmul", "clmulh", "clmulr")


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(x86_64_carry_less, "available", lambda: False)


@pytest.mark.parametrize("form", PRODUCTS)
def test_by_ordinary_products(without, form):
    for instruction, starts in grids(form):
        compare(REGIONS[0], ORACLE, instruction, starts)


def test_no_instruction_is_used_that_the_host_lacks(without):
    plan = stencils.Plan(riscv, False)
    plan.stencils = [stencil for stencil in plan.stencils if stencil[0].name in PRODUCTS]
    text = llvm.assembly(llvm.parse(plan.text()))
    assert len(plan.stencils) == 3 and "imulq" in text and "clmulqdq" not in text
