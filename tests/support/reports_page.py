"""What a test asks of report.html, and how it changes the strings of a report."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from checker import reports

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr", "path", "rect"}


class Page(HTMLParser):
    """What a test asks of a page; an element that is not closed in order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID or (tag == "path" and not self.get_starttag_text().endswith("/>")):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [found[name] or "" for _, found in self.elements if name in found]

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.elements)


def page(report: dict[str, Any]) -> Page:
    return Page(reports.FORMATS["html"].render(report))


def each_string(
    value: Any, change: Callable[[str, tuple[str | int, ...]], str], path: tuple[str | int, ...] = ()
) -> Any:
    """A copy of a JSON value with every string changed by ``change(text, path)``."""
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, dict):
        return {key: each_string(item, change, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [each_string(item, change, (*path, place)) for place, item in enumerate(value)]
    return value
