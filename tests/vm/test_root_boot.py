"""Booting a folder: which kernel, which modules in what order, and the initial RAM disk; the last test boots one under QEMU."""

import gzip
import lzma
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from dragoman.guests import find
from dragoman.runtime.machine import root_boot
from dragoman.runtime.machine.cpio import Archive
from dragoman.runtime.machine.kernel_modules import ModuleError, Modules
from dragoman.vm import vm_options
from tests.real import fetch

VERSION = "6.12.9-riscv64"
DEP = """\
kernel/net/9p/9pnet.ko.xz:
kernel/fs/netfs/netfs.ko.gz:
kernel/drivers/virtio/virtio_mmio.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko.xz
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.gz
"""
NEEDS = {"9pnet_virtio": "9pnet", "9p": "netfs,9pnet"}


def elf(name):
    """What a module begins with, and what modinfo would say of it."""
    return b"\x7fELF" + name.encode() + b"\0license=GPL\0depends=%s\0name=%s\0" % (NEEDS.get(name, "").encode(), name.encode())


@pytest.fixture
def root(tmp_path):
    """A root with one kernel and the modules that 9p needs, as depmod leaves them."""
    folder = tmp_path / "lib/modules" / VERSION
    for line in DEP.splitlines():
        path = folder / line.partition(":")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        pack = {".xz": lzma.compress, ".gz": gzip.compress}.get(path.suffix, bytes)
        path.write_bytes(pack(elf(path.name.partition(".")[0])))
    (folder / "modules.dep").write_text(DEP)
    (folder / "modules.builtin").write_text("kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio-ring.ko\n")
    (tmp_path / "boot").mkdir()
    (tmp_path / f"boot/vmlinux-{VERSION}").write_bytes(b"kernel")
    return tmp_path


@pytest.mark.parametrize(("names", "newest"), [
    (["vmlinux-6.9.1", "vmlinux-6.12.1"], "vmlinux-6.12.1"), (["vmlinuz-6.12.10", "vmlinux-6.12.9"], "vmlinuz-6.12.10"),
    (["vmlinux-6.12.9+deb13-riscv64", "vmlinux-6.12.9-riscv64", "vmlinux-6.1"], None), (["vmlinux", "vmlinux-1.0"], "vmlinux-1.0"),
])
def test_newest_kernel(tmp_path, names, newest):
    (tmp_path / "boot").mkdir()
    for name in names:
        (tmp_path / "boot" / name).write_bytes(b"")
    found = root_boot.newest_kernel(tmp_path).name
    assert found == newest if newest else found.startswith("vmlinux-6.12.9")


def test_version_of_a_kernel(root, tmp_path):
    assert root_boot.kernel_version(root / f"boot/vmlinux-{VERSION}", root) == VERSION
    other = tmp_path / "Image"
    other.write_bytes(b"\0" * 5000 + b"Linux version 6.12.9-riscv64 (builder@host) #1 SMP\n")
    assert root_boot.kernel_version(other, root) == VERSION
    for text in (b"", b"\x1f\x8b compressed", b"Linux version 6.1 (x)"):
        other.write_bytes(text)
        with pytest.raises(root_boot.RootError, match="cannot tell which"):
            root_boot.kernel_version(other, root)


ORDER = ["virtio_mmio", "9pnet", "9pnet_virtio", "netfs", "9p"]


def names(files):
    return [Path(path).name.partition(".")[0] for path in files]


def test_order_of_modules(root):
    modules = Modules(root / "lib/modules" / VERSION)
    assert names(modules.files(root_boot.MODULES)) == ORDER
    assert modules.files(("virtio", "virtio_ring")) == [], "built in"
    with pytest.raises(ModuleError, match="no module ext4"):
        modules.files(("ext4",))


def test_order_without_depmod(root):
    folder = root / "lib/modules" / VERSION
    (folder / "modules.dep").unlink()
    found = names(Modules(folder).files(root_boot.MODULES))
    assert sorted(found) == sorted(ORDER)
    for name, needed in NEEDS.items():
        assert all(found.index(other) < found.index(name) for other in needed.split(","))
    (folder / "kernel/fs/netfs/netfs.ko.gz").unlink()
    with pytest.raises(ModuleError, match="needs netfs"):
        Modules(folder).files(("9p",))


def test_modules_that_need_each_other(root):
    folder = root / "lib/modules" / VERSION
    (folder / "modules.dep").unlink()
    (folder / "kernel/a.ko").write_bytes(b"\x7fELF\0depends=b\0")
    (folder / "kernel/b.ko").write_bytes(b"\x7fELF\0depends=a\0")
    with pytest.raises(ModuleError, match="needs a, which is not there"):
        Modules(folder).files(("a",))


@pytest.mark.parametrize(("name", "data", "text"), [
    ("x.ko", b"no module", "no kernel module"), ("x.ko", b"", "no kernel module"), ("x.ko.xz", b"not xz", "not what its name says"),
    ("x.ko.gz", b"not gzip", "not what its name says|Not a gzipped"), ("x.ko.zst", b"not zstd", "no kernel module|command zstd"),
    ("x.so", b"\x7fELF", "no module of this folder"), ("../x.ko", b"\x7fELF", "no module of this folder"),
])
def test_module_that_is_none(root, name, data, text):
    folder = root / "lib/modules" / VERSION
    (folder / name).write_bytes(data)
    with pytest.raises(ModuleError, match=text) as error:
        Modules(folder).data(name)
    assert "\n" not in str(error.value)


def test_module_that_leads_outside(root):
    folder = root / "lib/modules" / VERSION
    (root / "secret.ko").write_bytes(b"\x7fELF")
    (folder / "x.ko").symlink_to(root / "secret.ko")
    with pytest.raises(ModuleError, match="no module of this folder"):
        Modules(folder).data("x.ko")


def test_modules_are_decompressed(root):
    modules = Modules(root / "lib/modules" / VERSION)
    for path in modules.files(root_boot.MODULES):
        assert modules.data(path) == elf(Path(path).name.partition(".")[0])


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not here to compress a module")
def test_zstd(root):
    folder = root / "lib/modules" / VERSION
    packed = subprocess.run(["zstd", "-cq"], input=elf("z"), capture_output=True, check=True).stdout
    (folder / "z.ko.zst").write_bytes(packed)
    assert Modules(folder).data("z.ko.zst") == elf("z")


def unpack(data):
    """Name -> (mode, device, contents) of a newc archive, by Documentation/driver-api/early-userspace/buffer-format.rst."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[at + 110:at + 110 + name_size]
        assert name.endswith(b"\0")
        start = at + 110 + name_size + -(110 + name_size) % 4
        found[name[:-1].decode()] = fields[1], tuple(fields[9:11]), data[start:start + size]
        at = start + size + -size % 4
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return found


def test_archive():
    archive = Archive()
    archive.folder("a")
    for size in range(5):
        archive.file(f"a/{'x' * size}", b"12345"[:size], 0o600)
    archive.device("console", 5, 1)
    found = unpack(archive.data())
    assert found["a"] == (stat.S_IFDIR | 0o755, (0, 0), b"")
    assert found["console"] == (stat.S_IFCHR | 0o600, (5, 1), b"")
    assert [found[f"a/{'x' * size}"][2] for size in range(5)] == [b"", b"1", b"12", b"123", b"1234"]


def test_initramfs(root):
    found = unpack(gzip.decompress(root_boot.initramfs(root, VERSION, b"the init")))
    assert found["init"] == (stat.S_IFREG | 0o755, (0, 0), b"the init")
    assert found["modules/list"][2].decode().splitlines() == [f"/modules/{name}.ko" for name in ORDER]
    for name in ORDER:
        assert found[f"modules/{name}.ko"][2] == elf(name)
    assert {"dev", "proc", "root"} <= found.keys()


def test_command_line_of_a_root(root):
    options = vm_options(["--root", str(root), "--append", "quiet", "--share", str(root / "boot")])
    assert options.kernel == bytes(root / f"boot/vmlinux-{VERSION}")
    assert options.append == "console=ttyS0 quiet"
    assert [(share.path, share.tag, share.writable) for share in options.shares] == [
        (bytes(root), "root", True), (bytes(root / "boot"), "boot", True)]
    with open(options.initrd, "rb") as file:
        assert unpack(gzip.decompress(file.read()))["init"][2] == find("rootinit").path.read_bytes()


@pytest.mark.long
@pytest.mark.real
@pytest.mark.skipif(not shutil.which("qemu-system-riscv64"), reason="qemu-system-riscv64 is not here")
def test_debian_boots(tmp_path):
    """Packages that were only unpacked: no depmod was run, no init is there. A shell is started, and its end is the machine's."""
    try:
        fetch.fetch("trixie", "riscv64", tmp_path, ["base-files", "dash", "coreutils", "linux-image-riscv64"])
    except fetch.CannotFetch as error:
        pytest.skip(str(error))
    if not (tmp_path / "usr/bin/sh").exists():
        (tmp_path / "usr/bin/sh").symlink_to("dash")
    (tmp_path / "etc/profile").write_text("head -1 /proc/mounts; echo made by the guest > /tmp/made; exit\n")
    options = vm_options(["--root", str(tmp_path), "--append", "quiet -- -l"])
    done = subprocess.run([
        "qemu-system-riscv64", "-machine", "virt", "-m", "256", "-nographic", "-bios", "default", "-no-reboot",
        "-kernel", options.kernel, "-initrd", shutil.copy(options.initrd, tmp_path / "initrd"), "-append", options.append,
        "-fsdev", f"local,id=f,path={tmp_path},security_model=none", "-device", "virtio-9p-device,fsdev=f,mount_tag=root",
    ], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert b"root / 9p rw" in done.stdout
    assert (tmp_path / "tmp/made").read_text() == "made by the guest\n"
    assert done.returncode == 0
