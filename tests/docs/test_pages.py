"""What pages say of the project is there: links, names in the code, folders, generated parts."""

from __future__ import annotations

import functools
import importlib
import re

import pytest

import kdseg


def test_every_link_leads_somewhere(page, pages, root):
    for text, target in page.links:
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        assert path.exists(), f"[{text}]({target}): there is no {path}"
        if anchor:
            assert anchor in pages[str(path.relative_to(root))].anchors, f"[{text}]({target}): no such heading"


def test_every_name_exists_in_the_file_that_it_links_to(page, root):
    for text, target in page.links:
        names = re.fullmatch(r"`([\w.]+)`", text)
        if names and target.endswith(".py"):
            path = (page.path.parent / target).resolve().relative_to(root)
            module = importlib.import_module(".".join(path.with_suffix("").parts))
            functools.reduce(getattr, names[1].split("."), module)
            owner = getattr(module, names[1].partition(".")[0])
            assert getattr(owner, "__module__", module.__name__) == module.__name__, f"{names[1]} is but used in {path}"


@pytest.mark.parametrize("name", ["recipes.md", "components.md", "design.md", "paradigms.md"])
def test_generated_parts_are_as_the_code_has_them(name, generate, root):
    text = (root / "docs" / name).read_text(encoding="utf-8")
    assert name in generate["PAGES"]
    assert "<!-- generated: " in text
    assert generate["filled"](text) == text, "run: python docs/generate.py"


def test_the_index_names_every_page(pages, root):
    linked = {target for _, target in pages["docs/index.md"].links}
    assert {path.name for path in (root / "docs").glob("*.md")} - {"index.md"} <= linked


def test_the_design_shows_every_folder_and_module(pages, root):
    house = next(block.text for block in pages["docs/design.md"].blocks if block.text.startswith("kdseg/ "))
    above: list[str] = []
    shown = set()
    for line in house.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], name]
        shown.add("".join(above))
        shown |= {"".join(above[:-1]) + other for other in re.findall(r"\w+\.py", line)}
    for path in shown:
        assert (root / path).exists(), f"the page shows {path}, which is not there"
    there = [
        *(
            f"{path.parent.relative_to(root)}/"
            for path in root.glob("kdseg/**/__init__.py")
            if path.parent.name != "kdseg"
        ),
        *(f"plugins/{path.parent.name}/" for path in root.glob("plugins/*/py.typed")),
        *(f"kdseg/{path.name}" for path in root.glob("kdseg/*.py") if not path.name.startswith("__")),
    ]
    assert set(there) <= shown


def test_the_public_names_are_those_of_the_package(pages):
    text = pages["docs/plugins.md"].prose.partition("## What you may import")[2]
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(kdseg.__all__)
