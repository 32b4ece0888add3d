"""Command lines: what they are read as, and what is said of wrong ones."""

import os
import signal
import subprocess

import pytest

from dragoman.arguments import UsageError
from dragoman.cli import changed, command, run_options
from dragoman.runtime.options import LOG_ITEMS, RunOptions
from tests.command import dragoman, python


def read(line: str, *environment: bytes) -> RunOptions:
    options = run_options(line.split(), list(environment))
    assert isinstance(options, RunOptions)
    return options


def test_defaults():
    options = read("prog -x --engine", b"A=1")
    assert options.program == b"prog"
    assert options.arguments == (b"prog", b"-x", b"--engine")
    assert options.environment == (b"A=1",)
    assert (options.engine, options.compiler, options.sysroot, options.log) == ("auto", "server", None, frozenset())


@pytest.mark.parametrize(("line", "field", "value"), [
    ("-L /r p", "sysroot", b"/r"), ("-L/r p", "sysroot", b"/r"), ("--sysroot=/r p", "sysroot", b"/r"),
    ("-sysroot /r p", "sysroot", b"/r"), ("-L /a -L /b p", "sysroot", b"/b"),
    ("-s 65536 p", "stack_size", 65536), ("-s 64K p", "stack_size", 65536), ("-s8m p", "stack_size", 8 << 20),
    ("--engine interpreter p", "engine", "interpreter"), ("--engine=auto p", "engine", "auto"),
    ("p", "cpu", "rv64gcb"), ("--cpu rv64gc p", "cpu", "rv64gc"),
    ("--threshold 3 p", "threshold", 3), ("--compiler off p", "compiler", "off"),
    ("--lockstep interpreter,stencil p", "lockstep", ("interpreter", "stencil")),
    ("-strace p", "strace", True), ("--strace p", "strace", True), ("--count p", "count", True),
    ("--precise p", "precise", True), ("--cold p", "cold", True), ("--stats p", "stats", True),
    ("-d in_asm,ir -d exec p", "log", frozenset({"in_asm", "ir", "exec"})), ("-D f p", "log_file", b"f"),
    ("--dfilter 0x10..0x1f,0x100+0x10 --dfilter 0xff-16 p", "log_ranges", ((16, 31), (256, 271), (240, 255))),
    ("--dfilter 4096 p", "log_ranges", ((4096, 4096),)),
    ("-0 name p a", "arguments", (b"name", b"a")), ("-- p", "program", b"p"), ("-- -p", "program", b"-p"),
])
def test_option(line, field, value):
    assert getattr(read(line), field) == value


@pytest.mark.parametrize(("line", "text"), [
    ("", "which program"), ("-L", "needs ROOT"), ("-s 0 p", "not a size"), ("-s 1T p", "not a size"),
    ("-s -1 p", "not a size"), ("--engine fast p", "not one of interpreter, stencil, region, auto"),
    ("--cpu rv64 p", "not one of rv64gc, rv64gcb"), ("--threshold 0 p", "from 1"), ("--nonsense p", "no option --nonsense"), ("-q p", "no option -q"),
    ("--strace=1 p", "takes no value"), ("-E A p", "not NAME=VALUE"), ("-E =1 p", "not NAME=VALUE"),
    ("-U A=1 p", "not the name"), ("-d in_asm,nonsense p", "not one of in_asm"), ("-d , p", "not one of"),
    ("--dfilter 5..3 p", "is empty"), ("--dfilter 5+0 p", "is empty"), ("--dfilter 3-5 p", "outside"),
    ("--dfilter x p", "is not FIRST"), ("--dfilter 1.. p", "is not FIRST"),
    ("--lockstep stencil p", "two different"), ("--lockstep stencil,stencil p", "two different"),
    ("--lockstep interpreter,stencil --engine stencil p", "leave --engine"),
])
def test_wrong_option(line, text):
    with pytest.raises(UsageError, match=text) as error:
        read(line)
    assert "\n" not in str(error.value)


def test_variables_are_changed_in_order():
    changes = [(b"B", None), (b"A", b"2"), (b"C", b"x=y"), (b"C", b"3")]
    assert changed([b"A=1", b"AB=1", b"B=1", b"A=0", b"odd"], changes) == [b"A=2", b"AB=1", b"odd", b"C=3"]


def test_qemu_prefix_is_a_default_sysroot():
    assert read("p", b"QEMU_LD_PREFIX=/q").sysroot == b"/q"
    assert read("-L /r p", b"QEMU_LD_PREFIX=/q").sysroot == b"/r"
    assert read("p", b"QEMU_LD_PREFIX=").sysroot is None
    assert b"QEMU_LD_PREFIX=/q" in read("p", b"QEMU_LD_PREFIX=/q").environment


@pytest.mark.parametrize("variables", [{}, {"PYTHONHOME": "/x", "PYTHONPATH": "/y"}, {"LC_ALL": "C", "LANG": "xx"}])
def test_environment_is_the_one_that_was_given(variables):
    """Python itself adds LC_CTYPE to os.environ where no locale is set."""
    code = "from dragoman.cli import host_environment; print(host_environment())"
    output = subprocess.run(python(code), env=variables, capture_output=True, text=True, check=True).stdout
    assert eval(output) == [f"{name}={value}".encode() for name, value in variables.items()]


def test_bytes_that_are_not_utf8_pass():
    text = os.fsdecode(b"/\xff\xfe")
    options = run_options(["-L", text, "-E", "A=" + text, text, text], [])
    assert isinstance(options, RunOptions)
    assert (options.sysroot, options.environment, options.arguments) == (
        b"/\xff\xfe", (b"A=/\xff\xfe",), (b"/\xff\xfe", b"/\xff\xfe"))


def test_options_do_not_change():
    with pytest.raises(AttributeError):
        read("p").engine = "region"
    with pytest.raises(TypeError):
        RunOptions(engin="region")


@pytest.mark.parametrize("line", ["", "--help", "run --help", "cache -h", "run -d help", "--version", "run --version"])
def test_help(line, capsys):
    assert command(line.split()) == 0
    printed = capsys.readouterr()
    assert printed.out and not printed.err
    assert max(map(len, printed.out.splitlines())) <= 120


def test_help_names_every_log_item(capsys):
    command(["run", "-d", "help"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(LOG_ITEMS)


@pytest.mark.parametrize("line", ["nonsense", "run", "run --nonsense", "cache", "cache burn", "cache show x"])
def test_wrong_usage_is_one_line_and_status_2(line):
    done = dragoman(*line.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("dragoman: ")


@pytest.mark.parametrize(("line", "said"), [
    ("cache", "cache: give one of show, clear, limit, wait"), ("cache burn", "cache: burn is not one of show, clear, limit, wait"),
    ("cache show x", "cache show: takes nothing behind it, not x"), ("cache limit 5 6", "cache limit: takes one SIZE at the most"),
    ("cache limit much", "cache limit: much is not a size"),
])
def test_what_is_wrong_with_a_cache_command(line, said):
    with pytest.raises(UsageError, match=f"^{said}"):
        command(line.split())


def test_a_program_without_run_gets_a_hint():
    assert "dragoman run /bin/sh" in dragoman("/bin/sh").stderr


def test_help_into_a_closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer) as pipe:
        done = dragoman("run", "--help", stdout=pipe, capture_output=False, stderr=-1)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
