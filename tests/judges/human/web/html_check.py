"""Reads HTML as a browser would and lists what is in it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"br", "hr", "input", "link", "meta"})


@dataclass
class Found:
    """What a page holds."""

    tags: set[str] = field(default_factory=set)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    """Tag, name, value."""
    text: str = ""
    unclosed: list[str] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Found()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.tags.add(tag)
        self.found.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.found.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.found.unclosed.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.found.unclosed[-1:] == [tag], f"</{tag}> closes nothing"
        self.found.unclosed.pop()

    def handle_data(self, data: str) -> None:
        self.found.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        assert decl.lower() == "doctype html", decl

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data!r}")


def read_html(html: str) -> Found:
    """Return what a page holds.

    Raises:
        AssertionError: Its tags do not match, or it holds a comment or an instruction.
    """
    reader = _Reader()
    reader.feed(str(html))
    reader.close()
    assert not reader.found.unclosed, reader.found.unclosed
    return reader.found
