"""From a guest's executed blocks to code in the store of the next run: the real worker behind the real process."""

import struct

import pytest

from dragoman.dbt.compiler_client import Client
from dragoman.dbt.region_growth import grow
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import DONE, Regions
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import LAZY
from dragoman.dbt.store import Store
from tests.engines.guest import REGISTERS, guest
from tests.engines.program import CODE, DATA, Program, check, run, run_oracle
from tests.isa import assemble
from tests.server.conftest import answers, detach, status, stop

# A loop that calls a function by register, which stores and loads; x5 counts, x10 gathers, x6 is the function.
LOOP = """
top:
    jalr x1,0(x6)
    add x10,x10,x11
    addi x5,x5,-1
    bne x5,x0,<top>
    j <end>
function:
    sd x10,8(x9)
    ld x11,8(x9)
    mul x11,x11,x5
    xori x11,x11,291
    ret 0(x1)
end:
    addi x12,x10,1
"""
FUNCTION = CODE + 4 * 5
TIMES = 40                              # fewer than make a region on the spot


@pytest.fixture(scope="module")
def grown():
    """A guest that has run the loop, the program, and the request for a region of what it has executed."""
    code = struct.pack("<11I", *assemble.program(LOOP.split("\n")[1:-1]))
    x = [0] * 32
    x[5], x[6], x[9], x[10] = TIMES, FUNCTION, DATA, 12345
    program, machine = Program(code, x), guest("region")
    result = run(machine, program)
    check(program, "region", result, "oracle", run_oracle(program))
    assert result.reason == "breakpoint"
    request, executed = grow(machine.engine, machine.cpu, machine.engine.locked("find_row", CODE))
    assert executed == TIMES
    assert {pc for pc, _ in request.blocks} >= {CODE, CODE + 4, FUNCTION}
    return machine, program, request


def test_compiled_kept_found_installed_and_run(grown, store):
    machine, program, request = grown
    client = Client(store, detach())
    key = client.request(request.pack(), 1, store.pack("a program"))
    answer, = answers(client)
    assert (answer.key, answer.again) == (key, False) and answer.entry
    assert answer.entry.matches(machine.memory.read)
    # The next run: another client, another store, no request.
    found, = Store.open().pack("a program").find(CODE, request.options)
    assert found.data == answer.entry.data
    assert Store.open().pack("a program").find(CODE, request.replace(precise=LAZY).options) == []
    image = RegionImage.parse(found.code)
    assert CODE in image.entries and set(image.natives) <= machine.engine.image.symbols.keys()
    assert sum(size for _, size in found.spans) == len(program.code) + 4        # and the breakpoint behind it
    regions = Regions(machine.engine)
    assert regions.install(image, found.pieces) == DONE
    assert regions.statistics()["regions"] == 1
    machine.start(program.x, program.f)
    assert machine.run(CODE) == "breakpoint"
    assert list(REGISTERS.unpack_from(machine.registers)[:32]) == run_oracle(program).x
    client.close()
    stop(store)


def test_what_is_no_request_is_refused(grown, store):
    client, whole = Client(store, detach()), grown[2].pack()
    spoiled = [b"x", whole[:-1], whole + b"x", b"\xff" * len(whole), whole[:8] + b"\xff" * 16 + whole[24:]]
    for request in spoiled:
        client.request(request, 1, store.pack("a program"))
    assert [(answer.entry, answer.again) for answer in answers(client, len(spoiled))] == [(None, False)] * len(spoiled)
    assert status(store)["workers"] == 1
    client.close()
    stop(store)


def test_odd_blocks_harm_nobody(grown, store):
    """Blocks that are cut within an instruction, or no instructions at all: a region or a refusal, and the next is made."""
    client = Client(store, detach())
    pieces = [b"\1", b"\3\3", b"\x13\0\0", b"\0" * 4, b"\xff" * 9, b""]
    requests = [RegionRequest(0x1000, ((0x1000, piece),), (), (), False, False).pack() for piece in pieces]
    for request in [*requests, grown[2].pack()]:
        assert client.request(request, 1, None)
    found = answers(client, len(requests) + 1)
    assert any(answer.entry and answer.entry.head == CODE for answer in found)
    client.close()
    stop(store)


def test_the_full_library_is_made_once(store):
    client = Client(store, detach())
    client.library("stencils")
    client.library("nonsense")
    assert sorted(answer.library is None for answer in answers(client, 2)) == [False, True]
    from dragoman.dbt.images import Images
    library = Images(store.path, store=store).stencils()
    assert library is not None and library.blobs["library"][1] > 100_000
    library.unmap()
    assert status(store)["workers"] == 1
    client.close()
    stop(store)
