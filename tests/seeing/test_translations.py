"""-d in_asm, exec, sensitive, mmu, devices: what is translated, entered, rewritten, filled and accessed on a machine."""

import re
from itertools import pairwise

import pytest

from dragoman.dbt.isa.riscv import sensitive
from tests.seeing.guest import ENGINES, logged, vm

PAGE, RAM = 0x1000, 0x8000_0000


def listed(lines):
    """pc: (code, text) of each instruction listed by in_asm, and the first pc of each block."""
    found, heads = {}, set()
    for line in lines:
        if match := re.match(r"in_asm 0x(\w+)\.\.0x\w+ .*\[0x(\w+), [USM]( without \w+)*\]$", line):
            heads.add(int(match[1], 16))
            assert int(match[1], 16) % PAGE == int(match[2], 16) % PAGE
        elif match := re.match(r"  0x(\w+)  ([0-9a-f]+) +(.*)", line):
            found[int(match[1], 16)] = int(match[2], 16), match[3]
    return found, heads


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_that_are_entered_were_listed(engine):
    lines = logged("in_asm,exec", "traps", engine=engine)
    _, heads = listed(lines)
    entered = [int(match[1], 16) for line in lines if (match := re.match(r"exec hart0 0x(\w+)", line))]
    entered = [pc for pc in entered if RAM <= pc < 2 * RAM]        # elsewhere it cannot be fetched: entered, and a trap
    assert len(set(entered)) > 50 and set(entered) <= heads


def test_sensitive_instructions_are_all_listed():
    """Each instruction of the table that is listed by in_asm has its line, with what the table says of it."""
    lines = logged("in_asm,sensitive", "traps")
    found, _ = listed(lines)
    rows = {pc: row for pc, (word, _) in found.items() if word & 3 == 3 and (row := sensitive.find(word))}
    told = {int(match[1], 16): match.groups()[1:] for line in lines
            if (match := re.match(r"sensitive 0x(\w+) [USM][\w ]*: (\S.*?) +; (.*), (privileged|critical): (.*)$", line))}
    assert len(rows) > 20
    for pc, row in rows.items():
        text, how, natively, reason = told[pc]
        assert (natively, reason) == (row.natively, row.reason) and found[pc][1].startswith(text.split()[0])
        assert how == "trap" or row.rewritten == "inline" or how.startswith("an illegal")
    assert {"inline", "trap"} <= {how for _, how, _, _ in told.values()}


def test_no_inline_leaves_none_inline():
    lines = [line for line in logged("sensitive", "traps", "--no-inline") if line.startswith("sensitive ")]
    assert lines and not any("; inline," in line for line in lines)


@pytest.mark.parametrize("engine", ENGINES)
def test_walks_agree_with_the_entries_that_they_tell_of(engine):
    """Each step of a walk leads to the next (Sv39, Sv48: 4.4.1), and the last one to the page that was found."""
    walks = faults = 0
    for line in logged("mmu", "spaces", engine=engine):
        match = re.fullmatch(r"mmu hart0 (?:(load|store|fetch) )?0x(\w+): (.*) \| (?:page 0x(\w+) [r-][w-][x-][u-], host 0x\w+ ([r-][w-][x-])|"
                             r"exception .*)", line)
        assert match, line
        kind, address, path, page, through = match.groups()
        entries = [(int(at, 16), int(entry, 16)) for at, entry in re.findall(r"\[0x(\w+)\] 0x(\w+) ", path)]
        if kind is None:
            faults += 1
        else:
            assert {"load": "r", "store": "w", "fetch": "x"}[kind] in through
        if not path.startswith("walked ") or kind is None:
            continue
        walks += 1
        levels = 3 if len(entries) < 4 and entries[0][0] & PAGE - 1 == (int(address, 16) >> 30 & 511) * 8 else 4
        for level, (at, entry) in zip(range(levels - 1, -1, -1), entries):
            assert at & PAGE - 1 == (int(address, 16) >> 12 + 9 * level & 511) * 8
        for (_, entry), (at, _) in pairwise(entries):
            assert at & -PAGE == entry >> 10 << 12
        inner = (1 << 9 * level) - 1
        assert int(page, 16) >> 12 == (entries[-1][1] >> 10 & (1 << 44) - 1 & ~inner) | int(address, 16) >> 12 & inner
    assert walks > 10 and faults


def test_devices_are_named_with_what_is_written():
    lines = logged("devices", "traps")
    written = [int(match[1], 16) for line in lines if (match := re.fullmatch(r"devices uart@10000000\+0x0: write of 1: 0x(\w\w)", line))]
    assert bytes(written).decode().splitlines()[0] == "ok causes"
    assert lines[-1] == "devices finisher@100000+0x0: write of 4: 0x00005555"


def test_a_log_file_that_cannot_be_written_is_told():
    done = vm("traps", "-d", "mmu", "-D", "/proc/none/log")
    assert (done.returncode, done.stderr) == (2, "dragoman: -D: /proc/none/log: No such file or directory\n")
