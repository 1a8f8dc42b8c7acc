"""A page of HTML as data, read by Python's own parser: its texts, tables, elements and what is wrong with it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple

VOID = {"meta", "link", "img", "br", "path", "circle", "use"}


class Element(NamedTuple):
    """An element with all the text within it."""

    tag: str
    attrs: dict[str, str]
    texts: list[str]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


class Page(HTMLParser):
    """A page: `elements` in their order, each with its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag} {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs}, [])
        self.elements.append(element)
        if tag == "br":
            self.handle_data(" ")
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open, f"</{tag}> closes nothing"
            assert self._open.pop().tag == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        for element in self._open:
            element.texts.append(data)

    def find(self, tag: str, **attrs: str) -> list[Element]:
        """Give the elements of a tag that have all these attributes; `class_` names one of the classes."""
        named = attrs.pop("class_", None)
        return [
            element
            for element in self.elements
            if element.tag == tag
            and attrs.items() <= element.attrs.items()
            and (named is None or named in element.attrs.get("class", "").split())
        ]

    def tables(self) -> list[list[list[str]]]:
        """Give the texts of every table, row by row."""
        tables: list[list[list[str]]] = []
        for element in self.elements:
            if element.tag == "table":
                tables.append([])
            elif element.tag == "tr":
                tables[-1].append([])
            elif element.tag in ("td", "th"):
                tables[-1][-1].append(element.text)
        return tables

    def table(self, first: str) -> list[list[str]]:
        """Give the table whose first cell says so."""
        (found,) = [table for table in self.tables() if table[0][0] == first]
        return found
