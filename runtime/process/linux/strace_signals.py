"""Signals for people: siginfo as strace prints it, and how processes ended."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.strace_names import ENUMS

_HEAD = Struct("<iii")                      # si_signo si_errno si_code
_SENDER, _CHILD, _ADDRESS, _VALUE, _TIMER = Struct("<16xiI"), Struct("<16xiIi4xqq"), Struct("<16xQ"), Struct("<24xq"), Struct("<16xiiq")
SIGCHLD, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGIO, SIGSYS = 17, 4, 5, 7, 8, 11, 29, 31
# sigaction(2), si_code.
ANY = {0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -3: "SI_MESGQ", -4: "SI_ASYNCIO", -5: "SI_SIGIO", -6: "SI_TKILL"}


def _codes(prefix: str, words: str) -> dict[int, str]:
    return {number: prefix + word for number, word in enumerate(words.split(), 1)}


OF_SIGNAL = {
    SIGILL: _codes("ILL_", "ILLOPC ILLOPN ILLADR ILLTRP PRVOPC PRVREG COPROC BADSTK"),
    SIGFPE: _codes("FPE_", "INTDIV INTOVF FLTDIV FLTOVF FLTUND FLTRES FLTINV FLTSUB"),
    SIGSEGV: _codes("SEGV_", "MAPERR ACCERR BNDERR PKUERR"), SIGBUS: _codes("BUS_", "ADRALN ADRERR OBJERR MCEERR_AR MCEERR_AO"),
    SIGTRAP: _codes("TRAP_", "BRKPT TRACE BRANCH HWBKPT"), SIGCHLD: _codes("CLD_", "EXITED KILLED DUMPED TRAPPED STOPPED CONTINUED"),
    SIGIO: _codes("POLL_", "IN OUT MSG ERR PRI HUP"),
}


def name(number: int) -> str:
    return ENUMS["signal"].get(number) or f"SIGRT_{number - 32}"


def siginfo(number: int, info: bytes) -> str:
    """SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL}; the name alone, where there is no siginfo."""
    return f"{name(number)} {fields(info)}" if info else name(number)


def fields(info: bytes) -> str:
    number, _, code = _HEAD.unpack_from(info)
    parts = [f"si_signo={name(number)}", f"si_code={ANY.get(code) or OF_SIGNAL.get(number, {}).get(code) or code}"]
    if code in (0, -6):
        parts += _sender(info)
    elif code == -2:
        timer, overrun, value = _TIMER.unpack_from(info)
        parts += [f"si_timerid={timer}", f"si_overrun={overrun}", f"si_value={value:#x}"]
    elif code < 0:
        parts += [*_sender(info), f"si_value={_VALUE.unpack_from(info)[0] & (1 << 64) - 1:#x}"]
    elif number == SIGCHLD:
        pid, uid, status, user, system = _CHILD.unpack_from(info)
        shown = status if code == 1 else name(status)
        parts += [f"si_pid={pid}", f"si_uid={uid}", f"si_status={shown}", f"si_utime={user}", f"si_stime={system}"]
    elif number in (SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV):
        address, = _ADDRESS.unpack_from(info)
        parts.append(f"si_addr={address:#x}" if address else "si_addr=NULL")
    return "{" + ", ".join(parts) + "}"


def _sender(info: bytes) -> list[str]:
    pid, uid = _SENDER.unpack_from(info)
    return [f"si_pid={pid}", f"si_uid={uid}"]


def status(value: int) -> str:
    """What wait has stored."""
    low = value & 0x7F
    if value & 0xFFFF == 0xFFFF:
        return "{WIFCONTINUED(s)}"
    if value & 0xFF == 0x7F:
        return f"{{WIFSTOPPED(s) && WSTOPSIG(s) == {name(value >> 8 & 0xFF)}}}"
    if low:
        return f"{{WIFSIGNALED(s) && WTERMSIG(s) == {name(low)}{' && WCOREDUMP(s)' if value & 0x80 else ''}}}"
    return f"{{WIFEXITED(s) && WEXITSTATUS(s) == {value >> 8 & 0xFF}}}"
