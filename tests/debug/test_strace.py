"""--strace of whole programs: structures, signals, ends, threads that interleave, counts. Words are those of strace(1)."""

import re

import pytest


@pytest.fixture(scope="module")
def said(binary, tmp_path_factory):
    """Lines without process ids."""
    import subprocess

    from tests.command import DRAGOMAN
    done = subprocess.run([*DRAGOMAN, "run", "--strace", str(binary), "structures"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    return [line.partition(" ")[2] for line in done.stderr.splitlines()]


@pytest.mark.parametrize("pattern", [
    r"rt_sigaction\(SIGUSR1, \{sa_handler=0x[0-9a-f]+, sa_flags=SA_SIGINFO\|SA_RESTART, sa_mask=\[\]\}, NULL, 8\) = 0",
    r"--- SIGUSR1 \{si_signo=SIGUSR1, si_code=SI_USER, si_pid=\d+, si_uid=\d+\} ---",
    r"pipe2\(\[\d+, \d+\], O_CLOEXEC\) = 0",
    r'writev\(\d+, \[\{iov_base="ab", iov_len=2\}, \{iov_base="cde", iov_len=3\}\], 2\) = 5',
    r"ppoll\(\[\{fd=\d+, events=POLLIN\|POLLOUT, revents=POLLIN\}\], 1, \{tv_sec=0, tv_nsec=0\}, NULL, \d+\) = 1",
    r'read\(\d+, "abcd", 4\) = 4',
    r"connect\(-1, \{AF_INET, 127\.0\.0\.1:80\}, 16\) = -1 EBADF \(Bad file descriptor\)",
    r"epoll_ctl\(\d+, EPOLL_CTL_ADD, \d+, \{events=EPOLLIN\|EPOLLET, data=0x7\}\) = 0",
    r"epoll_pwait\(\d+, \[\{events=EPOLLIN, data=0x7\}\], 1, 0, NULL, 8\) = 1",
    r"clock_nanosleep\(CLOCK_REALTIME, 0, \{tv_sec=0, tv_nsec=1000\}, NULL\) = 0",
    r"clone\(.*SIGCHLD, .*\) = \d+",
    r"exit_group\(3\) = \?",
    r"\+\+\+ exited with 3 \+\+\+",
    r"wait4\(\d+, \[\{WIFEXITED\(s\) && WEXITSTATUS\(s\) == 3\}\], 0, \{ru_utime=\{tv_sec=\d+, tv_usec=\d+\}, .*\}\) = \d+",
    r"sendmsg\(-1, \{msg_name=\{AF_INET, 127\.0\.0\.1:80\}, msg_namelen=16, msg_iov=\[\{iov_base=\"ab\", iov_len=2\}, .*\], msg_iovlen=2, .*\}, "
    r"MSG_NOSIGNAL\) = -1 EBADF .*",
    r'faccessat\(AT_FDCWD, "/nowhere", R_OK\|W_OK\) = -1 ENOENT \(No such file or directory\)',
    r"\+\+\+ exited with 0 \+\+\+"])
def test_lines(said, pattern):
    assert any(re.fullmatch(pattern, line) for line in said), "\n".join(said)


def test_calls_that_are_not_over_when_others_are_made(run):
    lines = run("interleaved", "--strace").stderr.splitlines()
    thread = next(line.split()[0] for line in lines if "tv_nsec=300000000" in line)
    assert any(line.startswith(f"{thread} clock_nanosleep(CLOCK_REALTIME, 0, ") and line.endswith("<unfinished ...>") for line in lines)
    assert f"{thread} <... clock_nanosleep resumed>NULL) = 0" in lines
    assert f"{thread} +++ exited with 0 +++" in lines


def test_death_is_told(run):
    lines = run("crash", "--strace").stderr.splitlines()
    assert [line.partition(" ")[2] for line in lines if " --- " in line or " +++ " in line][-2:] == [
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---", "+++ killed by SIGSEGV +++"]


def test_into_a_file(run, tmp_path):
    done = run("structures", "-f", "trace")
    assert done.stderr == "" and "exit_group(0) = ?" in (tmp_path / "trace").read_text()


def test_counts_include_children(run):
    """exit_group once by each of the two processes; connect and sendmsg fail."""
    lines = run("structures", "-c").stderr.splitlines()
    assert lines[0].split() == ["%", "time", "seconds", "usecs/call", "calls", "errors", "syscall"] and lines[-1].split()[-1] == "total"
    rows = {line.split()[-1]: line.split()[3:-1] for line in lines[2:-2]}
    assert rows["connect"] == ["1", "1"] and rows["sendmsg"] == ["1", "1"] and rows["writev"] == ["1"] and rows["wait4"] == ["1"]
    assert int(lines[-1].split()[3]) == sum(int(row[0]) for row in rows.values())
