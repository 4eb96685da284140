"""Markdown, code and formulas as HTML that is safe in the page, whatever the text holds."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

try:
    from markdown_it.token import Token
    from markupsafe import Markup, escape
except ImportError as error:
    from rewards.errors import MissingExtraError

    raise MissingExtraError("markdown-it-py", "web") from error

from judges.human.web.markdown import NESTING, parser

LONGEST_RENDERED = 30_000
"""Characters; a longer text is shown plain and whole, as reading it as Markdown could take seconds."""

# What the eye cannot see or what reorders what it sees: controls but tab and line ends, lone surrogates,
# directional marks and overrides, blanks of no width, fillers, tags. Emoji and scripts that need a joiner
# or a variation selector keep it, see `_hidden`.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LONE_RETURN = re.compile("\r(?!\n)")
_JOINERS = "\u200c\u200d"
_FIRST_JOINED = "\u0590"
"""From here on there are scripts whose letters change beside a joiner, and emoji."""
_SHOWN = re.compile(r"⟦(U\+[0-9A-F]{4,6})⟧")


def render(text: str, breaks: bool = True) -> Markup:
    """Return a text as HTML: Markdown, code, and formulas as MathML; plain and whole where it is too long.

    No markup of the text's own gets through, nothing is loaded from anywhere, links are to http or https.

    Args:
        text: Of whatever origin.
        breaks: Each line end is one, as those who answer mean it; else lines run on, as in a Markdown file.
    """
    return render_alike([text], breaks)[0]


def render_alike(texts: Sequence[str], breaks: bool = True) -> list[Markup]:
    """Return texts as HTML, all plain where one of them must be.

    How a text is shown shall not tell them apart.
    """
    rendered = [_rendered(text, breaks) for text in texts]
    if None in rendered:
        note = "Too long or too deeply nested to be formatted: shown as it was written, whole."
        return [Markup('<p class="note">{}</p>{}').format(note, as_written(text)) for text in texts]
    return [html for html in rendered if html is not None]


def as_written(text: str) -> Markup:
    """Return a text as it was written, with what the eye cannot see made visible."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    # HTML drops a line end right behind <pre>.
    return Markup('<pre class="plain" dir="auto">\n{}</pre>').format(marked(escape(visible(lines))))


def visible(text: str) -> str:
    """Return a text in which characters that cannot be seen, or turn others round, are named by number."""
    return _UNSEEN.sub(lambda match: _named(match) if _hidden(match) else match[0], text)


def unseen(text: str) -> list[tuple[int, str]]:
    """Return the offset and the number (U+202E) of each character that is to be made visible.

    A carriage return is one of them where it does not begin a line end.
    """
    found = [(m.start(), _number(m[0])) for m in _UNSEEN.finditer(text) if _hidden(m)]
    found += [(m.start(), _number(m[0])) for m in _LONE_RETURN.finditer(text)]
    return sorted(found)


def marked(html: str) -> Markup:
    """Return escaped HTML with the numbers that `visible` put in set apart from the text."""
    # A plain string: what is put between pieces of Markup would be escaped.
    return Markup(_SHOWN.sub(r'<span class="unseen">\1</span>', str(html)))


def _named(match: re.Match[str]) -> str:
    return f"⟦{_number(match[0])}⟧"


def _number(sign: str) -> str:
    return f"U+{ord(sign):04X}"


def _hidden(match: re.Match[str]) -> bool:
    sign, text, at = match[0], match.string, match.start()
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if sign in _JOINERS:
        return not (_joined(before) and _joined(after))
    if "\ufe00" <= sign <= "\ufe0f":
        # One selector behind a sign chooses its form; a row of them hides a message.
        return not before or before.isspace() or _UNSEEN.fullmatch(before) is not None
    return True


def _joined(neighbour: str) -> bool:
    if neighbour < _FIRST_JOINED:
        return False
    return "\ufe00" <= neighbour <= "\ufe0f" or unicodedata.category(neighbour)[0] in "LMS"


@lru_cache(maxsize=512)
def _rendered(text: str, breaks: bool) -> Markup | None:
    if len(text) > LONGEST_RENDERED:
        return None
    markdown = parser(breaks)
    tokens = markdown.parse(visible(text))
    # Behind this depth the parser leaves out what it reads.
    if _depth(tokens) >= NESTING - 1:
        return None
    # Once more: character references (&#x202e;) have become the characters only now.
    html = visible(markdown.renderer.render(tokens, markdown.options, {}))
    return Markup('<div class="rendered" dir="auto">{}</div>').format(marked(html))


def _depth(tokens: Sequence[Token]) -> int:
    return max((token.level for token in tokens), default=0)
