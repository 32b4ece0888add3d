"""Counts of a request: where they go to, and what they do not change."""

import struct

import pytest

from dragoman.dbt import compile_jobs, regions
from dragoman.dbt.region_request import RegionRequest, name_of

LOOP = RegionRequest(0x1000, ((0x1000, bytes.fromhex("7d15 7dfd")), (0x1004, bytes.fromhex("8280"))), (), ())    # addi, bnez; ret


def text(request):
    decoder = compile_jobs._decoder(True, 0)
    return regions.text(compile_jobs._ISA, request, lambda code, pc: compile_jobs.records(decoder, {}, code, pc))[0]


@pytest.mark.parametrize(("executed", "weights"), [
    ((1000, 10), "i32 991, i32 11"),            # out of the loop goes what is executed behind it
    ((1 << 40, 1 << 38), f"i32 {(3 << 22) + 1}, i32 {(1 << 22) + 1}"),
    ((0, 0), "i32 1, i32 1"),
    ((10, 1000), "i32 1, i32 11"),              # threads count without locks: no more leaves a block than comes
])
def test_a_branch_has_the_weights_of_its_ways(executed, weights):
    assert f'!{{!"branch_weights", {weights}}}' in text(LOOP._replace(executed=executed))


def test_without_counts_there_are_none():
    assert "!1048576" not in text(LOOP)


def test_counts_are_no_part_of_the_name():
    assert name_of(LOOP.pack()) == name_of(LOOP._replace(executed=(5, 6)).pack())
    assert name_of(LOOP.pack()) != name_of(LOOP._replace(head=0x1004).pack())


@pytest.mark.parametrize("executed", [(), (7, 0)])
def test_a_request_with_counts_survives_being_packed(executed):
    request = LOOP._replace(executed=executed)
    assert RegionRequest.parse(request.pack()) == request


@pytest.mark.parametrize("spoil", [
    lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:-4] + struct.pack("<I", 1),
    lambda data: data[:-4] + b"\xff" * 4, lambda data: b"", lambda data: data[-3:]])
def test_spoilt_counts_are_refused(spoil):
    data = spoil(LOOP._replace(executed=(5, 6)).pack())
    assert len(name_of(data)) == 16
    with pytest.raises(ValueError, match="request"):
        RegionRequest.parse(data)
