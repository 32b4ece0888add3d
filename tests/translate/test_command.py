"""The command as a user meets it: what it says, what it leaves, and that a run takes that."""

import contextlib
import json
import os
import re
import shutil
import subprocess

import pytest

from dragoman.dbt.store import Store
from dragoman.translate import main, problem_of, summary
from tests.command import DRAGOMAN, ROOT, dragoman
from tests.server.conftest import PATIENCE, stop

FFT, ARGUMENT = str(ROOT / "guests/riscv64/fft"), "100"
SAID = re.compile(r"dragoman: (.*): (\d+) files?, (\d+) loops?, (\d+) regions? made(, .*)?, [\d.]+ s\n")


@pytest.fixture
def store(monkeypatch):
    """The tests' store without regions, whose compiler process ends with the test. It has the library, as if made before: that takes
    most of a minute."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    store = Store.open()
    dragoman("run", FFT, "1").check_returncode()
    stop(store)
    for name in os.listdir(store.folder):
        if name.endswith(".pack"):
            os.unlink(f"{store.folder}/{name}")
    if not os.path.exists(store.path("stencils")):
        from dragoman.dbt import engine_image
        engine_image.build("stencils").save(store.path("stencils"), store.version)
    yield store
    stop(store)


def translate(*words, **options):
    done = dragoman("translate", *words, timeout=PATIENCE, **options)
    return done.returncode, done.stdout, done.stderr


def counts(tmp_path, *words):
    report = tmp_path / "report"
    dragoman("run", "--stats-json", str(report), *words).check_returncode()
    return json.loads(report.read_text())["counts"]


def test_the_first_run_after_it_asks_for_nothing_that_was_made(store, tmp_path):
    status, output, said = translate("--seconds", "300", FFT)
    found = SAID.fullmatch(said)
    assert (status, output) == (0, "") and found and found[1] == FFT
    assert found[2] == "1" and int(found[4]) >= 5 and not found[5]
    told = counts(tmp_path, FFT, ARGUMENT)
    assert told["regions_stored"] >= 2 and told["regions"] == told["regions_stored"]
    again = SAID.fullmatch(translate(FFT)[2])
    assert again and again[4] == "0" and again[5] == f", {found[4]} there before"


def test_a_profile_is_of_a_run_with_arguments(store, tmp_path):
    status, output, said = translate("--profile", "--seconds", "300", FFT, "--", ARGUMENT)
    assert (status, output) == (0, dragoman("run", "--cold", FFT, ARGUMENT).stdout)
    assert SAID.search(said)
    told = counts(tmp_path, FFT, ARGUMENT)
    assert told["regions_stored"] >= 2 and told["regions_asked"] == 0


def test_a_second_is_not_exceeded_by_much(store):
    status, _, said = translate("--seconds", "1", FFT)
    found = SAID.fullmatch(said)
    assert status == 0 and found and int(found[2]) <= 1


def test_options_may_stand_behind_programs(store):
    hello = str(ROOT / "guests/riscv64/hello")
    status, output, said = translate(hello, "--seconds", "1", FFT, "--cpu", "rv64gcb")
    assert (status, output) == (0, "") and [found[0] for found in SAID.findall(said)] == [hello, FFT]
    status, output, said = translate(FFT, "--profile", "--seconds=1", "--", ARGUMENT, "--profile")
    assert status == 0 and output.count("\n") >= 1 and SAID.search(said)


def test_on_a_terminal_progress_is_shown_while_it_is_made(store):
    terminal, end = os.openpty()
    with (open(terminal, "rb", buffering=0) as shown,
          subprocess.Popen([*DRAGOMAN, "translate", "--seconds", "1", FFT], stderr=end, env=os.environ | {"TERM": "xterm"}) as running):
        os.close(end)
        text = b""
        with contextlib.suppress(OSError):          # nobody has its other end any more
            while part := shown.read(4096):
                text += part
    assert running.returncode == 0 and b"fft" in text and b"\x1b[2K" in text and b"1 file, " in text.splitlines()[-1]


def test_a_program_is_not_executed_and_others_are_done_all_the_same(store, tmp_path):
    """What is missing is said before anything takes its time."""
    status, output, said = translate("--seconds", "1", str(ROOT / "guests/riscv64/hello"), str(tmp_path / "nothing"), FFT)
    assert (status, output) == (127, "")
    assert said.startswith(f"dragoman: {tmp_path}/nothing: no such file\n")
    assert len(SAID.findall(said)) == 2


def test_numbers_of_one():
    told = dict.fromkeys(("there", "refused", "late"), 0)
    assert summary(told | {"files": 1, "loops": 1, "made": 0}) == "1 file, 1 loop, 0 regions made"


@pytest.mark.parametrize(("program", "status"), [("nothing", 127), ("README.md", 126)])
def test_a_profile_that_was_no_run_waits_for_nobody(program, status, capfd, monkeypatch):
    monkeypatch.setattr("dragoman.dbt.cache_command.wait", lambda: print("waiting"))
    assert main(["--profile", str(ROOT / program)], []) == status
    output, said = capfd.readouterr()
    assert output == "" and said.count("\n") == 1


def test_a_script_is_its_interpreter(store, tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!{FFT}\n")
    script.chmod(0o700)
    status, _, said = translate("--seconds", "1", str(script))
    assert status == 0 and SAID.fullmatch(said)


@pytest.mark.parametrize(("words", "status", "text"), [
    (["a", "--nonsense"], 2, "no option"), (["a", "--seconds"], 2, "needs N"), (["a", "-L", "b", "--profile", "c"], 2, "one program"),
    ([], 2, "which program"), (["--profile"], 2, "which program"), (["--profile", "a", "b"], 2, "one program"),
    (["a", "--", "b"], 2, "are for --profile"), (["--seconds", "0", "a"], 2, "not a whole number"), (["--nonsense", "a"], 2, "no option"),
    (["README.md"], 126, "no execute permission"), (["nothing"], 127, "no such file"), (["/bin/sh"], 126, "x86-64")])
def test_mistakes_are_one_line(words, status, text):
    done = dragoman("translate", *words, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1) and text in done.stderr


def test_damaged_programs(store, tmp_path):
    """Section headers and symbols that say anything: no more than a line."""
    good = open(FFT, "rb").read()
    at = int.from_bytes(good[40:48], "little")          # of the section headers
    for number, change in enumerate((good[:at + 100], good[:at] + b"\xff" * (len(good) - at), good[:40] + b"\xff" * 8 + good[48:],
                                     good[:60] + b"\xff\xff\xff\xff" + good[64:])):
        path = tmp_path / f"damaged{number}"
        path.write_bytes(change)
        path.chmod(0o700)
        status, _, said = translate("--seconds", "1", str(path))
        assert status in (0, 126) and said.count("\n") == 1


def test_where_nothing_can_be_kept(tmp_path, monkeypatch):
    (tmp_path / "dragoman").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/dev/null")
    status, output, said = translate(FFT)
    assert (status, output) == (1, "") and said == f"dragoman: nothing can be kept: {tmp_path}/dragoman is not a folder\n"


@pytest.mark.parametrize(("name", "said"), [("server", "is a folder"), ("server.lock", ": Is a directory")])
def test_where_there_can_be_no_compiler_process(name, said, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder = Store.open().folder
    os.mkdir(f"{folder}/{name}")
    status, output, told = translate(FFT)
    assert (status, output) == (1, "") and told.startswith(f"dragoman: there can be no compiler process: {folder}/{name}")
    assert said in told and told.count("\n") == 1


def test_a_store_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *words: False)
    assert problem_of(Store("1", str(tmp_path))) == f"nothing can be kept: {tmp_path} cannot be written to"


def test_help_names_it():
    assert "  translate  " in dragoman("--help").stdout
    done = dragoman("translate", "--help")
    assert done.returncode == 0 and "--profile" in done.stdout and shutil.which("true")
