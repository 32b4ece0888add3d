"""Recipes as regions see them: singles as such, one register named twice."""

from dragoman.dbt.isa.riscv import FORM
from dragoman.dbt.region_recipe import narrow
from dragoman.dbt.region_request import RegionRequest


def ops(name, twice=False):
    return [op.name for op in narrow(FORM[name].recipe, twice).ops]


def test_a_sum_of_singles_needs_no_boxes():
    assert ops("fadd.s") == ["get", "get", "fadd", "set"]


def test_sign_injection_of_one_register_is_a_move_and_a_negation():
    assert ops("fsgnj.d", True) == ["get", "set"]
    assert ops("fsgnjn.s", True) == ["get", "const", "xor", "set"]


def test_a_request_survives_being_packed():
    request = RegionRequest(0x1000, ((0x1000, b"\1\0"), (0x1010, b"\1\0\1\0")), (0x1010,), (), True, False)
    assert RegionRequest.parse(request.pack()) == request
