"""Command lines of `dragoman vm run`: what they are read as, and the one line that is said of wrong ones."""

import os

import pytest

from dragoman.arguments import UsageError
from dragoman.runtime.machine.options import LOG_ITEMS, Disk, MachineOptions, Share, read_disk, read_share
from dragoman.vm import VM_RUN_OPTIONS, command, vm_options
from tests.command import dragoman


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A folder with a kernel `k`, other files and folders, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("k", "i", "d", "d,ro", "b"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("s", "t"):
        (tmp_path / name).mkdir()


def read(line):
    options = vm_options(line.split())
    assert isinstance(options, MachineOptions)
    return options


def test_defaults():
    options = read("--kernel k")
    assert options.kernel == b"k"
    assert (options.memory, options.cpus, options.append, options.disks, options.shares) == (256 << 20, 1, "", (), ())
    assert (options.engine, options.compiler, options.inline, options.deterministic, options.bios) == ("auto", "server", True, False, None)


@pytest.mark.parametrize(("line", "field", "value"), [
    ("--memory 1G", "memory", 1 << 30), ("-m 64M", "memory", 64 << 20), ("--memory=8M", "memory", 8 << 20), ("--cpus 8", "cpus", 8),
    ("", "cpu", "rv64gcb"), ("--cpu rv64gc --cpus 2", "cpu", "rv64gc"),
    ("--initrd i", "initrd", b"i"), ("--append quiet", "append", "quiet"), ("--bios b", "bios", b"b"),
    ("--disk d", "disks", (Disk(b"d"),)), ("--disk d,cow --disk b,ro", "disks", (Disk(b"d", "cow"), Disk(b"b", "ro"))),
    ("--disk d,ro --disk d,cow", "disks", (Disk(b"d", "ro"), Disk(b"d", "cow"))),
    ("--net user", "net", "user"), ("--net user,forward=tcp:2222:22", "net", "user,forward=tcp:2222:22"),
    ("--share s", "shares", (Share(b"s", "s"),)), ("--share s,ro --share t,tag=x", "shares", (Share(b"s", "s", False), Share(b"t", "x"))),
    ("--priority 99", "priority", 99), ("--priority 0", "priority", 0), ("--cap 50", "cap", 50),
    ("--timeout 1.5", "timeout", 1.5), ("--no-inline", "inline", False), ("--deterministic", "deterministic", True),
    ("--lockstep interpreter,region", "lockstep", ("interpreter", "region")), ("--lockstep interpreter,region", "deterministic", True),
    ("--rtc 0", "rtc", 0), ("--rtc 2000-01-01", "rtc", 946684800), ("--rtc 2000-01-01T00:00:01", "rtc", 946684801),
    ("--engine region", "engine", "region"), ("--compiler off", "compiler", "off"), ("--threshold 3", "threshold", 3),
    ("--code-size 1M", "code_size", 1 << 20), ("--cold", "cold", True), ("--count", "count", True), ("--stats", "stats", True),
    ("--codemap f", "codemap", b"f"), ("--stats-json f", "stats_file", b"f"), ("--stats-json f", "stats", False),
    ("-d sensitive,mmu -d exec", "log", {"sensitive", "mmu", "exec"}), ("-D f", "log_file", b"f"), ("--log-file f", "log_file", b"f"),
    ("--dfilter 0x80000000+16", "log_ranges", ((0x8000_0000, 0x8000_000F),)),
    ("--accessed trap", "accessed", "trap"), ("--misaligned trap", "misaligned", "trap"),
])
def test_option(line, field, value):
    assert getattr(read(f"--kernel k {line}"), field) == value


def test_firmware_alone_is_enough():
    assert read("--bios b").kernel is None


@pytest.mark.parametrize(("line", "text"), [
    ("", "which kernel"), ("k", "what is k"), ("--kernel", "needs FILE"), ("--kernel none", "none: No such file"),
    ("--kernel s", "is a folder"), ("--kernel k/x", "Not a directory"), ("--kernel k --initrd none", "--initrd: none: No such"),
    ("--bios b --initrd i", "for a kernel"), ("--bios b --append x", "for a kernel"), ("--bios s", "is a folder"),
    ("--kernel k --cpus 0", "from 1"), ("--kernel k --cpus 9", "9 is not from 1 to 8"), ("--kernel k --cpus 1.5", "whole number"),
    ("--kernel k -m 1M", "1M is not from 8M"), ("--kernel k -m 1024G", "not from"), ("--kernel k -m 16777217", "multiple"),
    ("--kernel k -m lots", "not a size"), ("--kernel k -m 0", "not a size"),
    ("--kernel k --disk none", "--disk: none: No such"), ("--kernel k --disk s", "neither a file"), ("--kernel k --disk ,ro", "is not FILE"),
    ("--kernel k --disk d --disk d", "written by one disk"), ("--kernel k --disk d --disk s/../d,ro", "written by one disk"),
    ("--kernel k --share k", "is not a folder"), ("--kernel k --share none", "No such file"), ("--kernel k --share ,ro", "is not DIR"),
    ("--kernel k --share s --share s", "two folders have the tag s"), ("--kernel k --net tap", "is not user"),
    ("--kernel k --priority 100", "100 is not from 0 to 99"), ("--kernel k --priority -1", "not a whole number"),
    ("--kernel k --cap 101", "101 is not from"), ("--kernel k --timeout 0", "number of seconds"), ("--kernel k --timeout nan", "number of"),
    ("--kernel k --rtc yesterday", "is not a time"), ("--kernel k --engine fast", "not one of"), ("--kernel k -d strace", "not one of in_asm"),
    ("--kernel k --lockstep region,stencil --engine region", "leave --engine"), ("--kernel k --stats=1", "takes no value"),
    ("--kernel k --lockstep region,stencil --stats-json f", "leave --lockstep"),
    ("--kernel k --codemap f -d mmu", "leave -d"), ("--kernel k --codemap f --lockstep region,stencil", "leave -d"),
    ("--root s", "no boot/vmlinu"), ("--root none", "is no folder"), ("--root s --initrd i", "leave --initrd"),
    ("--root s --kernel none", "none: No such file"), ("--root s --kernel k", "no modules there"),
])
def test_wrong(line, text):
    with pytest.raises(UsageError, match=text) as error:
        read(line)
    assert "\n" not in str(error.value)


def test_long_command_line():
    with pytest.raises(UsageError, match="4095 bytes"):
        vm_options(["--kernel", "k", "--append", "x" * 4096])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write all files")
def test_files_that_may_not_be_used():
    os.chmod("k", 0)
    os.chmod("d", 0o400)
    for line, text in (("--kernel k", "Permission denied"), ("--kernel i --disk d", "cannot be written")):
        with pytest.raises(UsageError, match=text):
            read(line)


def test_commas_in_names():
    assert read_disk("d,ro,cow") == Disk(b"d,ro", "cow")
    assert read_disk("a,b") == Disk(b"a,b")
    assert read_share("a,b,ro") == Share(b"a,b", "a,b", False)
    assert read_share("/") == Share(b"/", "root")


def test_options_do_not_change():
    with pytest.raises(AttributeError):
        read("--kernel k").cpus = 2
    assert "kernel=b'k'" in repr(read("--kernel k"))


def test_help_names_every_option():
    text = vm_options(["--help"])
    assert isinstance(text, str)
    for option in VM_RUN_OPTIONS:
        assert all(f"{name}" in text for name in option.names)
    items = vm_options(["-d", "help"])
    assert isinstance(items, str) and all(item in items for item in LOG_ITEMS)


def test_unknown_command():
    with pytest.raises(UsageError, match="no command frob: it is one of run"):
        command(["frob"])


@pytest.mark.parametrize(("words", "status", "text"), [
    (["vm"], 0, ""), (["vm", "run", "--help"], 0, ""), (["vm", "run", "--kernel", "none"], 2, "dragoman: vm run: --kernel: none: No such"),
    (["vm", "run"], 2, "dragoman: vm run: which kernel"), (["vm", "frob"], 2, "dragoman: vm: no command frob"),
])
def test_status_and_one_line(words, status, text):
    done = dragoman(*words, cwd=os.getcwd())
    assert (done.returncode, done.stderr.count("\n")) == (status, int(bool(text)))
    assert done.stderr.startswith(text) and bool(done.stdout) == (not text)
