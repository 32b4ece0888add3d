"""CPython's own tests of Debian's riscv64 package: none fails here that passes under QEMU."""

import re

import pytest

from tests.debian.roots import debian_root, run_inside, run_under_qemu

pytestmark = pytest.mark.debian
PACKAGES = ["python3", "libpython3.13-testsuite"]
MODULES = "threading signal subprocess mmap socket os float math asyncio".split()
# -v: a line for each test that did not pass, such as "FAIL: test_poll (test.test_signal.PendingSignalsTests.test_poll)".
FAILED = re.compile(r"^(?:FAIL|ERROR): .*?\((\S+)\)", re.MULTILINE)
COUNT = re.compile(r"^Total tests: run=([\d,]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def root():
    return debian_root(PACKAGES)


def run_tests(runner, root, folder, module, *options):
    """The tests of a module: how many ran, the names of those that failed, and what was printed."""
    command = ["/usr/bin/python3", "-m", "test", "-v", *options, f"test_{module}"]
    done = runner(root, command, cwd=folder, timeout=3600, environment={"HOME": str(folder), "TMPDIR": str(folder)})
    output = done.stdout.decode(errors="replace")
    count = COUNT.search(output)
    assert count, (output + done.stderr.decode(errors="replace"))[-2000:]
    return int(count[1].replace(",", "")), set(FAILED.findall(output)), done.returncode, output


@pytest.mark.parametrize("module", MODULES)
def test_module(module, root, tmp_path):
    count, failed, status, output = run_tests(run_inside, root, tmp_path, module)
    assert count > 20 and (status == 0) == (not failed), output[-2000:]
    if failed:
        options = [word for name in sorted(failed) for word in ("-m", name)]
        assert failed <= run_tests(run_under_qemu, root, tmp_path, module, *options)[1], output[-5000:]
