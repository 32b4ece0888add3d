"""Files of results: whole or as before, with the permissions they had, and one line where they cannot be written."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from dragoman.perf import result_file
from tests.command import dragoman, python
from tests.perf.report import report, result

MEASURED = report(result("one", stencil=1, qemu=2))


def test_a_file_is_made_and_replaced(tmp_path):
    path, link = tmp_path / "made", tmp_path / "link"
    link.symlink_to(path)
    mask = os.umask(0o027)
    assert result_file.write(path, "one") == ""
    os.umask(mask)
    assert path.read_text() == "one" and path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    assert result_file.write(link, "two") == "" and link.is_symlink()
    assert path.read_text() == "two" and path.stat().st_mode & 0o777 == 0o604
    assert sorted(os.listdir(tmp_path)) == ["link", "made"]


def test_what_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "made"
    path.write_text("good")

    def full(*names):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "rename", full)
    assert result_file.write(path, "new") == f"{path}: No space left on device"
    assert path.read_text() == "good" and os.listdir(tmp_path) == ["made"]


def test_a_device_is_written_to(tmp_path):
    assert result_file.write(Path(os.devnull), "text") == ""
    assert result_file.write(Path("/dev/full"), "text") == "/dev/full: No space left on device"


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_results_are_shown_where_they_cannot_be_written(tmp_path, option):
    pytest.importorskip("plotly")
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps(MEASURED.as_json()))
    done = dragoman("perf", "--read", str(measured), option, "/dev/full")
    assert (done.returncode, done.stderr) == (1, "dragoman: perf: /dev/full: No space left on device\n") and "about <one>" in done.stdout


def test_results_are_written_where_they_cannot_be_shown(tmp_path):
    measured, again = tmp_path / "measured.json", tmp_path / "again.json"
    measured.write_text(json.dumps(MEASURED.as_json()))
    with open("/dev/full", "w") as full:
        done = dragoman("perf", "--read", str(measured), "--json", str(again), stdout=full, capture_output=False, stderr=-1)
    assert (done.returncode, done.stderr) == (1, "dragoman: standard output: No space left on device\n")
    assert json.loads(again.read_text()) == json.loads(measured.read_text())


def test_where_output_goes_is_written_to_and_not_replaced(tmp_path):
    """By whatever name: what is written behind it comes behind it."""
    path = tmp_path / "out"
    with path.open("w") as out:
        code = ("import sys; from pathlib import Path; from dragoman.perf import result_file;"
                "assert result_file.write(Path('/dev/stdout'), 'first\\n') == ''; import os; os.lseek(1, 0, os.SEEK_END); print('second')")
        subprocess.run([*python(code)], stdout=out, check=True)
    assert path.read_text() == "first\nsecond\n" and os.listdir(tmp_path) == ["out"]


def test_text_that_is_no_unicode(tmp_path):
    assert result_file.write(tmp_path / "made", "a\udcff") == ""
    assert (tmp_path / "made").read_bytes() == b"a\xff"
