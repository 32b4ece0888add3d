"""Disks and networks of measured machines: known data, a server that takes and sends, what is wrong is found."""

import socket
import struct

import pytest

from dragoman import guests
from dragoman.perf import machine, machine_equipment, machine_jobs
from dragoman.perf.machine_equipment import PAGE, equipment, pattern
from dragoman.perf.machine_jobs import BLOCK, NET, PORT, TRANSFERS
from dragoman.perf.workloads import WorkloadError

JOBS = machine_jobs.transfers(True)


def jobs(suite):
    return [job for job in JOBS if job.suite == suite]


def test_guest_knows_the_jobs():
    said = guests.find("transfer").expected_output.decode()
    for name, job in zip(TRANSFERS, JOBS, strict=True):
        assert f"transfer {job.arguments[0]} takes {len(job.arguments) - 1} words\n" in said, name


def test_pattern_has_places():
    data = pattern(2 * PAGE + 16)
    assert struct.unpack_from("<Q", data, PAGE) == (PAGE,) and struct.unpack_from("<QQ", data, 2 * PAGE) == (2 * PAGE, 0)
    assert len(data) == 2 * PAGE + 16


@pytest.mark.parametrize("change, failure", [(lambda data: data, ""), (lambda data: b"\0" * len(data), "wrong"),
                                             (lambda data: data[:-PAGE], "wrong")])
def test_a_disk_is_checked_after_writes(tmp_path, change, failure):
    with equipment(BLOCK, tmp_path, jobs(BLOCK), 1) as disk:
        assert disk.path.read_bytes() == pattern(1 << 20)
        disk.path.write_bytes(change(pattern(1 << 20, 1)))
    assert failure in disk.failure and bool(failure) == bool(disk.failure)
    assert not disk.path.exists()
    reads = [job for job in jobs(BLOCK) if job.name != "block-write"]
    with equipment(BLOCK, tmp_path, reads, 1) as disk:
        pass
    assert not disk.failure


def exchange(port, wanted, data):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(struct.pack("<qq", wanted, len(data)) + data)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


def test_a_server_takes_and_sends(tmp_path):
    size = 5 * PAGE
    with equipment(NET, tmp_path, jobs(NET), 1) as network:
        port = int(network.filled[PORT])
        assert exchange(port, size, b"") == pattern(size)
        assert exchange(port, PAGE, pattern(size, 1)) == pattern(PAGE) and not network.failure
        assert exchange(port, PAGE, pattern(size, 2)) == pattern(PAGE)
        assert exchange(port, 1 << 40, b"") == b""
    assert "wants" in network.failure
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_commands_have_the_equipment(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    with equipment(BLOCK, tmp_path, jobs(BLOCK), 1) as disk:
        ours, qemu = (machine.command(name, tmp_path / "k", tmp_path / "i", disk) for name in ("stencil", "qemu"))
    assert ours[-2:] == ["--disk", str(disk.path)]
    assert f"file={disk.path},format=raw,if=none,id=disk" in qemu and qemu[qemu.index("-net") + 1] == "none"
    with equipment(NET, tmp_path, jobs(NET), 1) as network:
        ours, qemu = (machine.command(name, tmp_path / "k", tmp_path / "i", network) for name in ("stencil", "qemu"))
    assert ours[-2:] == ["--net", "user"] and "user,id=net" in qemu and "-net" not in qemu


def test_modules_are_needed(tmp_path):
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinux-6").touch()
    assert machine_equipment.modules_of(tmp_path / "boot/vmlinux-6", "machine micro") == {}
    with pytest.raises(WorkloadError, match="machine:net needs the kernel's modules"):
        machine_equipment.modules_of(tmp_path / "boot/vmlinux-6", NET)
    (tmp_path / "usr/lib/modules/6/kernel").mkdir(parents=True)
    with pytest.raises(WorkloadError, match="no module virtio_mmio"):
        machine_equipment.modules_of(tmp_path / "boot/vmlinux-6", NET)
