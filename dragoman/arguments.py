"""Reads a command line by a table of options, and writes the help text from the same table.

Not argparse, whose import alone costs 6 ms of each start. Options are read as qemu-user and GNU programs do (-L ROOT,
-LROOT, --sysroot ROOT, --sysroot=ROOT, -sysroot ROOT); they end at the first word without a dash, or at `--`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class UsageError(Exception):
    """The command line is wrong; the message says what to do."""


class Option:
    """One row of a table. `names` are separated by spaces; without `value` it is a flag, which sets True.

    `read` turns the value's text into what is stored, or raises ValueError with a reason. With `gather`, each use adds
    to a list. With `bare`, the value may be left away (`--name`, `--name=VALUE`): that is what is stored then.
    """

    def __init__(self, names: str, field: str, text: str, value: str = "",
                 read: Callable[[str], object] = str, gather: bool = False, bare: object = None) -> None:
        self.names = names.split()
        self.field, self.text, self.value, self.read, self.gather, self.bare = field, text, value, read, gather, bare


def choice(*words: str) -> Callable[[str], str]:
    """A reader that takes one of the words."""
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return text
    return read


def size(text: str) -> int:
    """Bytes: a number, with K, M or G behind it for powers of 1024."""
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdigit() and int(digits)):
        raise ValueError("is not a size such as 65536, 512K or 8M")
    return int(digits) << shift


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError("is not a whole number from 1")
    return int(text)


def parse(table: Sequence[Option], words: Sequence[str]) -> tuple[dict[str, object], list[str]]:
    """The fields that the options in `words` set, and the words behind the options."""
    by_name = {name: option for option in table for name in option.names}
    fields: dict[str, object] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, text = word.partition("=")
        option = by_name.get(name) or by_name.get("-" + name)
        given = bool(equals)
        if option is None and not word.startswith("--") and word[:2] in by_name and by_name[word[:2]].value:
            name, text, given = word[:2], word[2:], True
            option = by_name[name]
        if option is None:
            raise UsageError(f"no option {name}")
        if not option.value:
            if given:
                raise UsageError(f"{name} takes no value")
            fields[option.field] = True
            continue
        if not given and option.bare is not None:
            fields[option.field] = option.bare
            continue
        if not given:
            if not rest:
                raise UsageError(f"{name} needs {option.value} behind it")
            text = rest.pop(0)
        try:
            value = option.read(text)
        except ValueError as error:
            raise UsageError(f"{name}: {text!r} {error}") from None
        if option.gather:
            gathered = fields.setdefault(option.field, [])
            assert isinstance(gathered, list)
            gathered.append(value)
        else:
            fields[option.field] = value
    return fields, rest


def help_text(usage: str, about: str, table: Sequence[Option], more: str = "") -> str:
    """The whole help: usage, one paragraph, the options in columns of a 100-column page."""
    lines = [f"usage: {usage}", "", about]
    if table:
        lines += ["", "options:"]
    for option in table:
        value = f"[={option.value}]" if option.bare is not None else f" {option.value}" if option.value else ""
        head = "  " + ", ".join(option.names) + value
        for part in wrap(option.text, 74):
            if len(head) > 24:
                lines.append(head)
                head = ""
            lines.append(f"{head:<26}{part}")
            head = ""
    return "\n".join(lines + (["", more] if more else [])) + "\n"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken at spaces."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines
