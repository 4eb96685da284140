"""LaTeX formulas as MathML of a few elements and attributes, or None where one is refused."""

import html
import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

try:
    from latex2mathml import exceptions
    from latex2mathml.converter import Converter
except ImportError:
    from rewards.errors import MissingExtraError

    raise MissingExtraError("latex2mathml", "web") from None

LONGEST_FORMULA = 2000
"""Characters of a formula; a longer one is shown as its source."""
DEEPEST_FORMULA = 30
"""Braces, environments and pairs of \\left and \\right in one another; each costs some of Python's stack."""

# \def and its kin could write a short formula that expands without end; what a person judges has none.
_DEFINES = re.compile(r"\\(?:[exg]?def|let|(?:re|provide)?newcommand|DeclareMathOperator)")
_OPENS = re.compile(r"\{|\\begin\b|\\left\b")
_CLOSES = re.compile(r"\}|\\end\b|\\right\b")

# Sizes reach two digits and hardly below zero, so that no formula covers what is beside it.
_LENGTH = r"\+?\d{0,2}(\.\d{1,4})?(em|ex|px|pt|mu|cm|mm)?|-0?\.\d{1,4}(em|ex)"
_SIZE = re.compile(rf"({_LENGTH})( ({_LENGTH}))*")
_WORDS = re.compile(r"[a-z -]{1,60}|[0-2]")
_ELEMENTS = frozenset({
    "math", "menclose", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom", "mroot",
    "mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder",
    "munderover",
})  # fmt: skip
_ROWS = frozenset({"math", "mrow", "mstyle", "mtd"})
# Colours, links, classes and styles are not among them.
_ATTRIBUTES: Mapping[str, re.Pattern[str]] = {
    "accent": _WORDS, "accentunder": _WORDS, "columnalign": _WORDS, "columnlines": _WORDS,
    "columnspacing": _SIZE, "depth": _SIZE, "display": _WORDS, "displaystyle": _WORDS, "fence": _WORDS,
    "form": _WORDS, "height": _SIZE, "largeop": _WORDS, "linethickness": _SIZE, "lspace": _SIZE,
    "mathsize": _SIZE, "mathvariant": _WORDS, "maxsize": _SIZE, "minsize": _SIZE, "movablelimits": _WORDS,
    "notation": _WORDS, "rowlines": _WORDS, "rowspacing": _SIZE, "rspace": _SIZE, "scriptlevel": _WORDS,
    "separator": _WORDS, "stretchy": _WORDS, "symmetric": _WORDS, "width": _SIZE,
}  # fmt: skip

# Its own errors have no common parent; the others are what it raises over formulas that end too soon or
# stand in no order that it knows.
REFUSALS: tuple[type[Exception], ...] = (
    *(e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)),
    AttributeError,
    LookupError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
"""Every error by which latex2mathml refuses a formula."""


def mathml(latex: str, block: bool) -> str | None:
    r"""Return a formula as MathML that is safe to put into a page, None where it is shown as its source.

    latex2mathml itself writes whatever a formula holds as markup (`\text{<img>}`) or as a link
    (`\href`), so its tree is written here, by a list of what may be.

    Args:
        latex: Without the signs that enclose it.
        block: It stands on lines of its own.
    """
    if len(latex) > LONGEST_FORMULA or _DEFINES.search(latex) or _depth(latex) > DEEPEST_FORMULA:
        return None
    try:
        tree = Converter(display="block" if block else "inline").convert_to_element(latex)
        return "".join(_written(tree))
    except REFUSALS:
        return None


def _depth(latex: str) -> int:
    signs = [(m.start(), 1) for m in _OPENS.finditer(latex)] + [
        (m.start(), -1) for m in _CLOSES.finditer(latex)
    ]
    depth = deepest = 0
    for _, change in sorted(signs):
        depth = max(depth + change, 0)
        deepest = max(deepest, depth)
    return deepest


def _written(element: Element) -> Iterator[str]:
    tag = element.tag
    if tag not in _ELEMENTS:
        raise ValueError(f"no element of a formula: {tag!r}")
    kept = [
        f' {name}="{html.escape(value)}"'
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value)
    ]
    yield f"<{tag}{''.join(kept)}>"
    yield _escaped(element.text)
    before: Element | None = None
    for child in element:
        if before is not None and tag in _ROWS and _apart(before, child):
            yield '<mspace width="0.17em"></mspace>'
        yield from _written(child)
        yield _escaped(child.tail)
        before = child
    yield f"</{tag}>"


def _apart(left: Element, right: Element) -> bool:
    """Say whether two neighbours need TeX's thin space, which latex2mathml leaves out: `K log n`."""
    signs = [one.tag == "mo" and not (one.text or "").isalpha() for one in (left, right)]
    return not any(signs) and any(map(_is_function, (left, right)))


def _is_function(element: Element) -> bool:
    base = element[0] if element.tag in ("msub", "msup", "msubsup", "munder") and len(element) else element
    text = base.text or ""
    return base.tag in ("mi", "mo") and len(text) > 1 and text.isalpha()


def _escaped(text: str | None) -> str:
    # Signs come as character references (&#x02211;), beside text as it was written.
    return html.escape(html.unescape(text or ""))
