"""The pages of the project as data: their blocks of code, their links, their words in code type."""

from __future__ import annotations

import logging
import re
import runpy
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name of the file that it is, from a first line such as ``# alone.toml``; empty where it is none."""
        found = re.match(r"# (\S+\.(?:toml|py))\n", self.text)
        return found[1] if found and self.language in ("toml", "python") else ""


class Page(NamedTuple):
    """A page of Markdown."""

    path: Path
    blocks: tuple[Block, ...]
    prose: str

    @property
    def links(self) -> list[tuple[str, str]]:
        """Text and target of each link."""
        return re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", self.prose)

    @property
    def code(self) -> list[str]:
        """What stands in code type within the prose."""
        unlinked = re.sub(r"\[[^\]]*\]\([^)\s]+\)", "", self.prose)
        return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", unlinked)]

    @property
    def anchors(self) -> set[str]:
        """What a link may say after ``#``, as GitHub makes it of the headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, flags=re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}

    def write_files(self, folder: Path) -> list[Path]:
        """Write those blocks that are files."""
        paths = [folder / block.file for block in self.blocks if block.file]
        for path, block in zip(paths, (block for block in self.blocks if block.file), strict=True):
            path.write_text(block.text, encoding="utf-8")
        return paths


def read_page(path: Path) -> Page:
    """Part a page into blocks and prose."""
    blocks, prose, fence = [], [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if fence is None and line.startswith("```"):
            fence, inside = (line[3:], number), []
        elif fence is not None and line == "```":
            blocks.append(Block(fence[0], "".join(inside), fence[1]))
            fence = None
        elif fence is not None:
            inside.append(line + "\n")
        else:
            prose.append(line)
    assert fence is None, f"{path}:{fence[1]}: this block has no end"
    return Page(path, tuple(blocks), "\n".join(prose))


PAGES = {
    str(path.relative_to(ROOT)): read_page(path)
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("plugins/*/README.md")))
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `page` for each page, one that takes `recipe_block` for each block of a recipe."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", PAGES.values(), ids=PAGES.keys())
    if "recipe_block" in metafunc.fixturenames:
        found = {
            f"{name}:{block.line}": (page, block)
            for name, page in PAGES.items()
            for block in page.blocks
            if block.language == "toml" and tomllib.loads(block.text).keys().isdisjoint({"project", "sweep"})
        }
        metafunc.parametrize("recipe_block", found.values(), ids=found.keys())


@pytest.fixture(scope="session")
def pages() -> dict[str, Page]:
    """All pages by their paths."""
    return PAGES


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def generate() -> dict[str, object]:
    """The names of docs/generate.py."""
    return runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.fixture(autouse=True)
def log_as_before():
    """Put back what verbs change of the logging: it belongs to the whole process."""
    logger = logging.getLogger("kdseg")
    before = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.level, logger.propagate, logger.handlers[:] = before
