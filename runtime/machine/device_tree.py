"""Device trees: from nested dictionaries to the blob that a kernel is given."""

from __future__ import annotations

from typing import Any

import fdt

VERSION = 17   # Devicetree Specification 0.4, section 5.2


def cells(*numbers: int) -> list[int]:
    """Numbers of 64 bits as two cells each: what `reg` is made of where #address-cells and #size-cells are 2."""
    return [half for number in numbers for half in (number >> 32, number & 0xFFFF_FFFF)]


def blob(root: dict[str, Any]) -> bytes:
    """A flattened device tree.

    Values are an int or a list of ints (cells), a string or a tuple of strings, bytes (as they are), None (a property that is only there),
    and a dictionary: a child node. Strings may be any text but NUL, which ends them.
    """
    tree = fdt.FDT(entries=[])   # the default is one list for all trees
    tree.header.version = VERSION
    _fill(tree.root, root)
    return tree.to_dtb()


def _fill(node: fdt.Node, content: dict[str, Any]) -> None:
    """Properties before children, as the format wants it (section 5.4.2); the library writes them so."""
    for name, value in content.items():
        if isinstance(value, dict):
            child = fdt.Node(name)
            _fill(child, value)
            node.append(child)
        else:
            node.append(_property(name, value))


def _property(name: str, value: int | list[int] | str | tuple[str, ...] | bytes | None) -> fdt.Property:
    if value is None:
        return fdt.Property(name)
    if isinstance(value, int):
        return fdt.PropWords(name, value)
    if isinstance(value, list):
        return fdt.PropWords(name, *value)
    if isinstance(value, bytes):
        return fdt.PropBytes(name, data=value)
    strings = (value,) if isinstance(value, str) else value
    # As bytes: the library's strings are ASCII and not empty, a kernel's command line need not be.
    return fdt.PropBytes(name, data=b"".join(text.encode(errors="surrogateescape") + b"\0" for text in strings))
