import re
import time
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from judges.human.web import mathematics
from judges.human.web.markdown import MOST_FORMULAS
from judges.human.web.mathematics import LONGEST_FORMULA, mathml
from judges.human.web.rendering import LONGEST_RENDERED, as_written, render, render_alike, unseen, visible
from tests.judges.human.web.html_check import read_html

FORMULA_TAGS = {
    "math", "menclose", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom", "mroot",
    "mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder",
    "munderover",
}  # fmt: skip
TEXT_TAGS = {
    "a", "blockquote", "br", "code", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
CLASSES = {
    "rendered", "plain", "note", "formula", "block", "source", "code", "language", "image", "table", "unseen",
    "left", "right", "center",
}  # fmt: skip
SIZES = re.compile(r"[+-]?[0-9.]{0,7}(em|ex|px|pt|mu|cm|mm)?")
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style><link rel=stylesheet href=//e.vil/x.css>",
    "<div style='position:fixed;inset:0'>covered</div>",
    "<!-- comment --> <![CDATA[x]]> <?php x ?> <!DOCTYPE x>",
    "</div></main></body>",
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1)) [y](javascript&colon;alert(1)) [z](\x01javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>) [y](vbscript:x) [z](file:///etc/passwd)",
    "[x](//e.vil/x) [y](/undo) [z](?a) [w](mailto:a@b.c)",
    "<javascript:alert(1)> <data:text/html,x> <https://good.example/>",
    '[x](https://a.example/"onmouseover="alert(1)) [y](https://a.example/ "t\\" onclick=\\"x")',
    "![x](https://e.vil/pixel.png) ![y](data:image/svg+xml,<svg/onload=alert(1)>) ![z](javascript:x)",
    "![a[b](javascript:x)](https://e.vil/p.png)",
    "```js onclick=alert(1) \"'>\n</code></pre><script>alert(1)</script>\n```",
    "`<b>`` </code><script>` x",
    '| <script> | "onx=1 |\n|:-|-:|\n| </td></table> | $<b>$ |',
    "# <h1>x</h1>\n<b>\n===\n",
    r"$\text{<img src=x onerror=alert(1)>}$ $$\mbox{</math><script>x</script>}$$",
    r"\(\href{javascript:alert(1)}{x}\) \[\href{https://e.vil}{x}\]",
    r"$\style{position:fixed;inset:0}{x}$ $\class{bar}{x}$ $\color{red;x}{y}$ $\colorbox{black}{z}$",
    r"$\text{&lt;script&gt;alert(1)&lt;/script&gt;}$ $\unicode{60}$ $&#60;script&#62;$",
    r"$\hspace{-9999px}\raise99999px{x}\rule{9999cm}{9999cm}\kern-50em x$",
    r"$\def\a{\a\a}\a$ $\newcommand{\x}{\x\x}\x$",
    "$" + "{" * 900 + "$" + " $" + r"\frac" * 300 + "$",
    "&#x202e;reversed &#0; &ZeroWidthSpace; &#xD800; &NegativeThinSpace;",
    "<https://a.example/%E2%80%AEtxt> [x](https://a.example/\u202e)",
    "\u202ereversed\u202c \u2066isolated\u2069 a\u200bb \ufeff \0 \ud800 \udfff\U000e0041",
    "⟦U+202E⟧ written by hand",
    "[a]: javascript:alert(1)\n\n[a] [b]\n\n[b]: <javascript:x> 'title'",
    "[//]: # (a remark that Markdown would hide)",
    "~~~<img src=x onerror=alert(1)>\nx\n~~~",
    r"\(\right<img src=x onerror=alert(1)>\) $\right<b>$",
]


def check(html: str) -> str:
    """Assert that HTML holds what a text may hold, and return what is read in it."""
    found = read_html(html)
    assert found.tags <= TEXT_TAGS | FORMULA_TAGS
    for tag, name, value in found.attributes:
        if name == "class":
            assert set(value.split()) <= CLASSES
        elif tag == "a":
            assert name in ("href", "target", "rel")
            assert name != "href" or re.match(r"https?://[^/]", value)
        elif tag in FORMULA_TAGS:
            assert name in mathematics._ATTRIBUTES
            assert re.fullmatch(r"[a-z -]+|[0-2]", value) or all(SIZES.fullmatch(v) for v in value.split())
        else:
            assert (tag, name, value) in {("div", "dir", "auto"), ("pre", "dir", "auto")} or (
                tag == "ol" and name == "start" and value.isdigit()
            )
    assert not set(found.text) & set(BIDI + "\0\u200b")
    html.encode()
    return found.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_text(text):
    check(render(text))
    check(as_written(text))


PIECES = [
    *HOSTILE,
    *"<>&\"'`*_[]()!#|~\\$\n\t -=+:;/",
    "javascript:",
    "https://",
    "&#",
    "\n\n",
    "> ",
    "- ",
    "1. ",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=12).map("".join))
@example("$$\n\\begin{align}\na &= <b> \\\\\n\\end{align}\n$$")
def test_no_combination_gets_markup_through(text):
    check(render(text))
    check(as_written(text))


FORMULA_PIECES = [
    r"\text{", r"\href{javascript:x}", r"\mbox{<b>", r"\style{x:y}", "}", "{", "<script>", "&lt;", "^", "_",
    r"\frac", r"\left(", r"\right", r"\begin{matrix}", r"\end{matrix}", "&", r"\\", "x", "1", '"', r"\sqrt[",
    r"\color{red}", r"\rule{9cm}", r"\hspace{", r"\operatorname{", r"\unicode{x3c}",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(FORMULA_PIECES), max_size=10).map("".join))
def test_no_formula_gets_markup_through(latex):
    check(mathml(latex, block=False) or "")


def test_formulas_are_set():
    half = "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>"
    assert mathml(r"\frac{1}{2}", block=False) == f'<math display="inline"><mrow>{half}</mrow></math>'
    for text in ("$x^2$", r"\(x^2\)"):
        assert "<msup><mi>x</mi><mn>2</mn></msup>" in render(f"so {text} is")
    for text in ("$$\nx\n+ y\n$$", "\\[\nx\n+ y\n\\]", "- so\n\n  $$x\n  + y$$\n"):
        html = render(text)
        assert '<math display="block"><mrow><mi>x</mi><mo>+</mo><mi>y</mi></mrow></math>' in html
    assert "<mtable" in render("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}")


def test_prices_code_and_escaped_dollars_are_no_formulas():
    for text in ("from $5 to $10, or $7", r"\$x\$ and $ x $", "`$a` and `$b`", "    $$x$$", "$a\n\nb$"):
        assert "<math" not in render(text)


REFUSED = [
    r"\frac", "x^", r"\left(", "x_1_2", r"\begin{matrix}", r"\genfrac", r"\verb", r"\skew1\intop", r"\begin",
    r"\text", "{", r"\sqrt[", r"\over",
]  # fmt: skip


@pytest.mark.parametrize("latex", REFUSED)
def test_a_formula_that_is_refused_is_shown_as_its_source(latex):
    assert mathml(latex, block=False) is None
    html = render(f"so \\({latex}\\) is")
    assert check(html).strip() == f"so \\({latex}\\) is"
    assert '<code class="formula source">' in html


def test_an_element_that_is_not_known_is_refused(monkeypatch):
    tree = Element("math")
    SubElement(SubElement(tree, "mrow"), "script").text = "alert(1)"
    monkeypatch.setattr(mathematics.Converter, "convert_to_element", lambda *_: tree)
    assert mathml("x", block=False) is None


@pytest.mark.parametrize(
    ("latex", "spaces"),
    [
        (r"K \log n", 2),
        (r"\log(n)", 0),
        (r"x = \sin^2 y", 1),
        (r"\max_i a_i", 1),
        ("a b", 0),
        (r"\frac{\log}{n}", 0),
    ],
)
def test_a_function_by_name_stands_apart_from_what_it_is_of(latex, spaces):
    # K log n: a thin space before the name and behind it, none at a bracket or a sign, and none between a
    # base and its index, where it would be taken for the index.
    assert (mathml(latex, block=False) or "").count("<mspace") == spaces


def test_every_error_of_latex2mathml_is_a_refusal():
    from latex2mathml import exceptions

    own = [e for e in vars(exceptions).values() if isinstance(e, type)]
    assert len(own) >= 12
    assert all(issubclass(error, mathematics.REFUSALS) for error in [*own, StopIteration, RecursionError])


def test_formulas_that_are_too_long_or_deep_or_define_something_are_refused():
    assert mathml("x" * LONGEST_FORMULA, block=True) is not None
    assert mathml("x" * (LONGEST_FORMULA + 1), block=True) is None
    assert mathml("{" * 31 + "x" + "}" * 31, block=True) is None
    for latex in (r"\def\a{x}\a", r"\newcommand{\a}{x}\a", r"\let\a\b", r"\gdef\a{x}\a"):
        assert mathml(latex, block=True) is None
    # Each doubles what the one before it stands for.
    bomb = (
        "".join(rf"\newcommand{{\{chr(97 + n)}}}{{\{chr(98 + n)}\{chr(98 + n)}}}" for n in range(24)) + r"\a"
    )
    began = time.monotonic()
    assert mathml(bomb, block=True) is None
    assert time.monotonic() - began < 1


def test_formulas_beyond_the_limit_are_shown_as_their_source():
    html = render("$x$ " * (MOST_FORMULAS + 5))
    assert html.count("<math") == MOST_FORMULAS
    assert html.count('class="formula source"') == 5


def test_code_tables_and_lists_are_formatted():
    html = render(
        "```python\nif a < b:\n    pass\n```\n\n|a|b|\n|-|:-:|\n|1|2|\n\n3. x\n4. y\n\nline\nline\n\n~~no~~"
    )
    assert '<div class="language">python</div><pre><code>if a &lt; b:\n    pass\n</code></pre>' in html
    assert '<th class="center">b</th>' in html
    assert '<ol start="3">' in html
    assert "line<br />\nline" in html
    assert "<s>no</s>" in html
    assert check(html)


def test_an_answer_has_no_headings_of_the_pages_ranks():
    assert read_html(render("# a\n## b\n###### c\nd\n===")).tags >= {"h3", "h4", "h6"}
    assert not read_html(render("# a\nb\n===\nc\n---")).tags & {"h1", "h2"}


def test_links_open_elsewhere_and_tell_nothing():
    found = read_html(render("[x](https://a.example/b?c=d&e) <http://b.example>"))
    assert found.values("href") == ["https://a.example/b?c=d&e", "http://b.example"]
    assert set(found.values("rel")) == {"noopener noreferrer nofollow"}
    assert set(found.values("target")) == {"_blank"}


def test_links_are_told_as_they_were_written():
    found = read_html(render("<https://xn--80ak6aa92e.example/?a=1&copy=2>"))
    assert found.text.strip() == "https://xn--80ak6aa92e.example/?a=1&copy=2"
    assert found.values("href") == ["https://xn--80ak6aa92e.example/?a=1&copy=2"]


def test_images_are_named_and_not_loaded():
    html = render("![a <b> cat](https://e.vil/p.png)")
    assert "img" not in read_html(html).tags
    assert check(html).strip() == "image: a <b> cat (https://e.vil/p.png)"


def test_what_markdown_would_hide_is_shown():
    assert "(a remark)" in check(render("[//]: # (a remark)"))
    assert "a remark" in check(render("[x]: https://a.example 'a remark'"))
    assert "hidden" in check(render("```py hidden\nx\n```"))
    assert "<!-- hidden -->" in check(render("<!-- hidden -->"))


@pytest.mark.parametrize("opening", ["> ", "- ", "1. ", ">"])
def test_nothing_is_left_out_however_deep_it_lies(opening):
    assert "the end" in check(render(opening * 500 + "the end"))
    assert "the end" in check(render("\n".join("  " * n + f"- {n}" for n in range(200)) + " the end"))


def test_what_cannot_be_seen_is_named():
    assert visible("a\u202eb\u200bc\0d\ufeff\u00ad") == "a⟦U+202E⟧b⟦U+200B⟧c⟦U+0000⟧d⟦U+FEFF⟧⟦U+00AD⟧"
    assert '<span class="unseen">U+202E</span>' in render("a\u202eb")
    assert '<span class="unseen">U+202E</span>' in render("&#x202e;")
    assert '<span class="unseen">U+202E</span>' in render("`\u202e`")
    assert '<span class="unseen">U+D800</span>' in as_written("\ud800")
    assert '<span class="unseen">U+0000</span>' in render("\0")


def test_scripts_and_emoji_keep_the_signs_that_they_need():
    for text in (
        "👨\u200d👩\u200d👧",
        "\u0645\u06cc\u200c\u062e\u0648",
        "❤\ufe0f",
        "क्\u200dष",
        "\t\r\n",
        "e\u0301",
        "🏳\ufe0f\u200d🌈",
    ):
        assert visible(text) == text
    assert visible("a\u200db") == "a⟦U+200D⟧b"
    assert visible("a\ufe0f\ufe01\ufe02") == "a\ufe0f⟦U+FE01⟧⟦U+FE02⟧"


def test_unseen_signs_are_told_by_code_points():
    assert unseen("👍\u202ex\r\ny\rz\0") == [(1, "U+202E"), (6, "U+000D"), (8, "U+0000")]
    assert unseen("plain\r\n\ttext é 👨\u200d👩") == []


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(codec=None), max_size=80))
def test_text_as_written_is_whole(text):
    read = read_html(as_written(text)).text
    shown = text.replace("\r\n", "\n").replace("\r", "\n")
    for name in ("⟦", "⟧"):
        # The script sets what `visible` names apart by an element; a hand-written sign stays as it is.
        shown, read = shown.replace(name, ""), read.replace(name, "")
    # The line end behind <pre> is the markup's own.
    assert read == "\n" + re.sub("⟦(.*?)⟧", r"\1", visible(shown))


def test_a_long_text_is_plain_and_whole():
    text = "**word** <b>\n" * (LONGEST_RENDERED // 10)
    html = render(text)
    assert text in check(html)
    assert "<strong>" not in html
    assert "Too long" in html
    assert "<strong>" in render("**word**")


def test_a_megabyte_is_shown_quickly():
    began = time.monotonic()
    assert check(render("a<" * 500_000)).count("a<") == 500_000
    assert time.monotonic() - began < 5


def test_all_are_plain_where_one_must_be():
    first, second = render_alike(["**short**", "x" * (LONGEST_RENDERED + 1)])
    assert "<strong>" not in first
    assert ("note" in first) == ("note" in second) is True
    assert "<strong>" in render_alike(["**short**", "x"])[0]


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "![",
        "[a](",
        "*a **b ",
        "`a",
        "~~a",
        "<a@",
        "&#x41",
        "a|",
        "$a ",
        r"\(",
        "$$",
        "\\$ $",
        "> a\n",
        "{",
        "\\[",
    ],
)
def test_no_row_of_openings_costs_the_square_of_its_length(unit):
    began = time.monotonic()
    render((unit * LONGEST_RENDERED)[:LONGEST_RENDERED])
    assert time.monotonic() - began < 5


def test_a_table_that_its_text_multiplies_stays_small():
    text = "|" + "a|" * 200 + "\n|" + "-|" * 200 + "\n" + "a\n" * 20_000
    assert len(render(text)) < 3_000_000


def test_the_modules_are_read_without_broad_excepts():
    source = Path(mathematics.__file__).read_text(encoding="utf-8")
    assert "except Exception" not in source
    assert "except:" not in source
