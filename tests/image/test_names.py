"""Compiled functions of all modules are linked into one image by their names."""

import ast
from collections import Counter
from pathlib import Path

import dragoman


def compiled_functions():
    top = Path(dragoman.__file__).parent
    for path in sorted(file for part in ("dbt", "runtime", "perf") for file in (top / part).resolve().rglob("*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.FunctionDef) and any(isinstance(one, ast.Call) and getattr(one.func, "id", "") == "compiled"
                                                         for one in node.decorator_list):
                yield node.name


def test_no_two_have_the_same_name():
    names = Counter(compiled_functions())
    assert len(names) > 200
    assert [name for name, count in names.items() if count > 1] == []
