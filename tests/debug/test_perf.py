"""Maps and dumps for perf: their form, and what perf itself makes of them."""

import os
import re
import shutil
import struct
import subprocess

import pytest

PERF = shutil.which("perf")


@pytest.fixture
def recorded(run, tmp_path):
    """perf's data of a run."""
    if PERF is None:
        pytest.skip("perf is not installed")
    made = subprocess.run([PERF, "record", "-q", "-e", "cpu-clock", "-k", "mono", "-o", tmp_path / "probe", "true"], capture_output=True)
    if made.returncode:
        pytest.skip("perf record does not work here")

    def start(*options):
        return run("hot", *options, before=(PERF, "record", "-q", "-e", "cpu-clock", "-k", "mono", "-o", "data"))
    return start


def hottest(path, *words):
    done = subprocess.run([PERF, "report", "-i", path, "--stdio", "--comm", "guest", "--sort", "symbol", *words], capture_output=True, text=True)
    return [line.split(maxsplit=2)[2].strip() for line in done.stdout.splitlines() if re.match(r" +\d+\.\d+%", line)][:2]


def test_perf_names_guest_functions_by_the_map(recorded, tmp_path):
    assert recorded("--perfmap").returncode == 0
    assert any(name.startswith("hot [") for name in hottest(tmp_path / "data"))


def test_perf_takes_the_dump(recorded, tmp_path):
    assert recorded("--jitdump").returncode == 0
    subprocess.run([PERF, "inject", "--jit", "-i", "data", "-o", "injected"], cwd=tmp_path, check=True, capture_output=True)
    assert any(name.startswith("hot [") for name in hottest(tmp_path / "injected"))


@pytest.mark.parametrize("engine", ["stencil", "interpreter"])
def test_maps_are_lines_of_address_size_name(run, engine):
    done = run("structures", "--perfmap", "--strace", "--engine", engine)
    pid = done.stderr.split()[0]
    try:
        with open(f"/tmp/perf-{pid}.map") as file:
            lines = file.read().splitlines()
    finally:
        os.unlink(f"/tmp/perf-{pid}.map")
    assert all(re.fullmatch(r"[0-9a-f]+ [0-9a-f]+ .+", line) for line in lines)
    assert any(line.endswith(f" main [{engine}]") for line in lines)


def test_dumps_are_as_specified(run, tmp_path):
    """tools/perf/Documentation/jitdump-specification.txt of Linux."""
    run("structures", "--jitdump")
    files = list(tmp_path.glob("jit-*.dump"))
    assert len(files) == 2                              # of the child, too
    for path in files:
        data = path.read_bytes()
        magic, version, size, machine, _, pid, _, flags = struct.unpack_from("<IIIIIIQQ", data)
        assert (magic, version, size, machine, flags, f"jit-{pid}.dump") == (0x4A695444, 1, 40, 62, 0, path.name)
        at, indices = size, []
        while at < len(data):
            kind, length, _, owner, _, start, address, code, index = struct.unpack_from("<IIQIIQQQQ", data, at)
            name = data[at + 56:at + length].partition(b"\0")[0]
            assert (kind, owner, start) == (0, pid, address) and length == 56 + len(name) + 1 + code
            indices.append(index)
            at += length
        assert at == len(data) and len(set(indices)) == len(indices) > 0
