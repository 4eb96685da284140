"""A Markdown parser without HTML, images or hidden text, that knows formulas."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

try:
    from markdown_it import MarkdownIt
    from markdown_it.common.utils import escapeHtml
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict
except ImportError:
    from rewards.errors import MissingExtraError

    raise MissingExtraError("markdown-it-py", "web") from None

from judges.human.web.mathematics import LONGEST_FORMULA, mathml

NESTING = 30
"""Lists and quotes in one another; what lies deeper the parser would leave out."""
MOST_FORMULAS = 1000
"""Formulas of one text that are set as MathML; later ones are shown as their source."""

_ENDS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)", "$": "$"}
"""Which sign ends a formula that another begins, the longer first."""
_TRIES = 20
"""Escaped dollars that are passed by, so that a row of them costs no square of its length."""
_ENVIRONMENT = re.compile(r"\\begin\{((?:align|aligned|gather|equation|multline|split|cases)\*?)\}")


@lru_cache(maxsize=2)
def parser(breaks: bool = True) -> MarkdownIt:
    """Return the parser: CommonMark, tables and struck text; with `breaks` each line end is a line break."""
    markdown = _Markdown("commonmark", {"html": False, "breaks": breaks, "maxNesting": NESTING})
    markdown.enable(["table", "strikethrough"])
    # A definition of a link ([x]: y) shows nothing; the text of an answer is never to be hidden.
    markdown.disable("reference")
    markdown.inline.ruler.before("escape", "formula", _inline_formula)
    markdown.block.ruler.before(
        "fence", "formula", _block_formula, {"alt": ["paragraph", "blockquote", "list"]}
    )  # fmt: skip
    for name, rule in _RULES.items():
        markdown.add_render_rule(name, rule)
    return markdown


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 -- the name is markdown-it's
        return re.match(r"https?://[^/\s]", url, re.IGNORECASE) is not None

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802 -- the name is markdown-it's
        return link


def _inline_formula(state: StateInline, silent: bool) -> bool:
    source = state.src
    begin = next((sign for sign in _ENDS if source.startswith(sign, state.pos)), None)
    if begin is None:
        return False
    start = state.pos + len(begin)
    stop = _end(source, start, state.posMax, begin)
    if stop is None:
        return False
    if not silent:
        token = state.push("formula", "", 0)
        token.content = source[start:stop]
        token.meta = {"block": begin in ("$$", "\\["), "source": source[state.pos : stop + len(_ENDS[begin])]}
    state.pos = stop + len(_ENDS[begin])
    return True


def _end(source: str, start: int, limit: int, begin: str) -> int | None:
    limit = min(limit, start + LONGEST_FORMULA)
    at = start
    for _ in range(_TRIES):
        at = source.find(_ENDS[begin], at, limit)
        if at < 0:
            return None
        if source[at - 1] != "\\" or begin[0] != "$":
            return at if _encloses(source[start:at], source[at + 1 : at + 2], begin) else None
        at += 1
    return None


def _encloses(latex: str, after: str, begin: str) -> bool:
    if begin != "$":
        return bool(latex.strip())
    # As pandoc, so that prices ($5 to $10) are no formulas.
    return not (latex != latex.strip() or not latex or after.isdigit() or "`" in latex)


def _block_formula(state: StateBlock, line: int, last: int, silent: bool) -> bool:
    if state.is_code_block(line):
        return False
    text = _line(state, line)
    begin = next((sign for sign in ("$$", "\\[") if text.startswith(sign)), "")
    environment = _ENVIRONMENT.match(text)
    if environment:
        end = f"\\end{{{environment[1]}}}"
    elif begin:
        end = _ENDS[begin]
    else:
        return False
    stop = _last_line(state, line, last, begin, end)
    if stop is None:
        return False
    if silent:
        return True
    source = "\n".join(_line(state, n) for n in range(line, stop + 1))
    token = state.push("formula", "", 0)
    token.block = True
    token.content = source if environment else source[len(begin) : -len(end)]
    token.meta = {"block": True, "source": source}
    token.map = [line, stop + 1]
    state.line = stop + 1
    return True


def _last_line(state: StateBlock, line: int, last: int, begin: str, end: str) -> int | None:
    length = 0
    for n in range(line, last):
        text = _line(state, n)
        length += len(text)
        # LaTeX has no blank line in a formula, and a line further left ends the list that it is in.
        if not text or length > LONGEST_FORMULA or (n > line and state.sCount[n] < state.blkIndent):
            return None
        inner = text[len(begin) :] if n == line else text
        if end in inner:
            return n if inner.find(end) == len(inner) - len(end) else None
    return None


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()


_Rule = Callable[[RendererHTML, Sequence[Token], int, OptionsDict, EnvType], str]


def _formula(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    env["formulas"] = int(env.get("formulas", 0)) + 1
    written = mathml(token.content, token.meta["block"]) if env["formulas"] <= MOST_FORMULAS else None
    kind = "formula block" if token.meta["block"] else "formula"
    if written is None:
        return f'<code class="{kind} source">{escapeHtml(token.meta["source"])}</code>'
    return f'<span class="{kind}">{written}</span>'


def _code(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: EnvType) -> str:
    token = tokens[at]
    language = f'<div class="language">{escapeHtml(token.info.strip())}</div>' if token.info.strip() else ""
    return f'<div class="code">{language}<pre><code>{escapeHtml(token.content)}</code></pre></div>'


def _image(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: EnvType) -> str:
    # Loading it would tell its server who reads; and a picture could be drawn as the page.
    token = tokens[at]
    told = escapeHtml(token.content), escapeHtml(str(token.attrGet("src") or ""))
    return f'<span class="image">image: {told[0]} ({told[1]})</span>'


def _link_open(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: EnvType) -> str:
    href = escapeHtml(str(tokens[at].attrGet("href") or ""))
    return f'<a href="{href}" target="_blank" rel="noopener noreferrer nofollow">'


def _heading_open(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: EnvType) -> str:
    return f"<{_heading(tokens[at].tag)}>"


def _heading_close(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: EnvType) -> str:
    return f"</{_heading(tokens[at].tag)}>\n"


def _heading(tag: str) -> str:
    # The page's own headings are h1 and h2.
    return f"h{min(int(tag[1:]) + 2, 6)}"


def _cell_open(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: EnvType) -> str:
    # Alignment comes as a style attribute, which the page's policy forbids.
    style = re.search("left|center|right", str(tokens[at].attrGet("style") or ""))
    return f'<{tokens[at].tag} class="{style[0]}">' if style else f"<{tokens[at].tag}>"


def _table_open(*_: Any) -> str:  # noqa: ANN401 -- it looks at nothing of what it is given
    return '<div class="table"><table>'


def _table_close(*_: Any) -> str:  # noqa: ANN401 -- it looks at nothing of what it is given
    return "</table></div>\n"


_RULES: dict[str, _Rule] = {
    "formula": _formula, "fence": _code, "code_block": _code, "image": _image, "link_open": _link_open,
    "heading_open": _heading_open, "heading_close": _heading_close, "th_open": _cell_open,
    "td_open": _cell_open, "table_open": _table_open, "table_close": _table_close,
}  # fmt: skip
