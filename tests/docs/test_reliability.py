"""Each promise stands beside a test that there is, marked as it is."""

from __future__ import annotations

import ast
import re

import pytest

ROW = re.compile(r"^\| (?!---)(.+?) \| (.+) \|$", flags=re.MULTILINE)
FILE = re.compile(r"\[(\w+\.py)\]\(\.\./(tests/[\w/]+\.py)\): ((?:(?:\*slow\* )?`\w+`(?:, )?)+)")
TEST = re.compile(r"(\*slow\* )?`(\w+)`")


def held(page):
    """Give promise, file, test and whether it is called slow, for every test that the page names."""
    for promise, holders in ROW.findall(page):
        for name, path, tests in FILE.findall(holders):
            assert path.endswith(f"/{name}")
            for slow, test in TEST.findall(tests):
                yield promise, path, test, bool(slow)


def is_slow(function, tree):
    marks = [ast.unparse(decorator) for decorator in function.decorator_list]
    marks += [
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    return any("mark.slow" in mark for mark in marks)


@pytest.fixture(scope="module")
def promises(root):
    return (root / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_promise_names_its_tests(promises):
    rows = [promise for promise, holders in ROW.findall(promises) if holders != "held by"]
    assert len(rows) > 30
    assert set(rows) == {promise for promise, *_ in held(promises)}


def test_every_test_is_there_and_marked_as_the_page_says(promises, root):
    for _, path, name, slow in held(promises):
        tree = ast.parse((root / path).read_text(encoding="utf-8"))
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path} has no {name}"
        assert is_slow(functions[name], tree) is slow, f"{path}: {name}: whether it is slow"
