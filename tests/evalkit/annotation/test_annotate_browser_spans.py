"""Stretches of an answer, marked in a browser by keys alone and by dragging: offsets are characters."""

from judges.human.answers import SpansAnswer
from rewards.records import Span
from tests.evalkit.annotation.browser import Person, Serve, Visit

ASPECTS = "[irrelevant,unfactual,+insightful]"
ANSWER = (
    "Paris 👩‍👩‍👧 is big.\r\n"
    "Le cafe\u0301 noir is\r\n"
    "cheap, 𝄞 is not.\n"
    "בפריז יש מגדל and more\n"
    "a\u202eb and <b>bold</b> &amp; all\u200b.\n"
    "\tEnd 🇫🇷 of it"
)
ROWS = [{"id": "row-0", "prompt": "Tell me of Paris", "response": ANSWER}]
SETTINGS = ("--screen", "spans", "--aspects", ASPECTS, "--overlap", "99")

# The rectangle of the n-th to the m-th UTF-16 unit of what the page shows as its text.
WHERE = """([from, to]) => {
  const box = document.getElementById("text");
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let at = 0, node, begun = false;
  while ((node = walker.nextNode())) {
    const next = at + node.length;
    if (!begun && from < next) { range.setStart(node, from - at); begun = true; }
    if (to <= next) { range.setEnd(node, to - at); break; }
    at = next;
  }
  range.startContainer.parentElement.scrollIntoView({ block: "center" });
  const { left, right, top, bottom } = range.getBoundingClientRect();
  return { left, right, middle: (top + bottom) / 2 };
}"""


def edges(person: Person, text: str) -> dict[str, float]:
    shown = person.page.locator("#text").evaluate("box => box.textContent")
    start = shown.index(text)
    units = [len(part.encode("utf-16-le")) // 2 for part in (shown[:start], shown[: start + len(text)])]
    return person.page.evaluate(WHERE, units)


def drag(person: Person, first: str, last: str = "", right_to_left=False, backwards=False) -> None:
    """Press the button before the first text, and let it go behind the last."""
    edges(person, first)  # brings it into view
    start, end = edges(person, first), edges(person, last or first)
    sides = ("right", "left") if right_to_left else ("left", "right")
    points = [(start[sides[0]], start["middle"]), (end[sides[1]], end["middle"])]
    begun, ended = points[::-1] if backwards else points
    person.page.mouse.move(*begun)
    person.page.mouse.down()
    person.page.mouse.move(*ended, steps=3)
    person.page.mouse.up()


def span(aspect: str, first: str, last: str = "") -> Span:
    """The stretch that was meant, counted by Python in the answer itself."""
    end = ANSWER.index(last or first) + len(last or first)
    return Span(ANSWER.index(first), end, aspect, float(aspect[0] == "+"))


def in_order(*spans: Span) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda one: (one.start, one.end)))


def only_answer(person: Person, name: str) -> SpansAnswer:
    assert person.heading() == "All done. Thank you!"
    return person.study.answers(name)["row-0"]


DRAGGED = [
    ("irrelevant", "👩‍👩‍👧", ""),
    ("unfactual", "is big", "Le cafe\u0301"),  # over the end of a line
    ("+insightful", "cafe\u0301", ""),
    ("irrelevant", "noir is", "cheap"),
    ("unfactual", "𝄞", "is not"),
    ("+insightful", "<b>", "&amp;"),
    ("irrelevant", "End", "🇫🇷"),
]


def test_what_is_dragged_over_is_marked_to_the_character(serve: Serve, visit: Visit):
    person = visit(serve("spans", SETTINGS, rows=ROWS), "ann").ready()
    buttons = person.page.get_by_role("group", name="Mark the selected text as")
    assert buttons.get_by_role("button").first.is_disabled()
    for aspect, first, last in DRAGGED:
        drag(person, first, last)
        buttons.get_by_text(aspect).click()
    drag(person, "Paris", "big", backwards=True)
    buttons.get_by_text("unfactual").click()
    drag(person, "more")
    buttons.get_by_text("irrelevant").click()
    person.control("button", "Remove irrelevant: “more”").click()
    person.page.get_by_label("Something that the answer leaves out").fill("who built it, <b>and</b> when")
    person.control("button", "Add").click()
    person.page.get_by_label("Something that the answer leaves out").fill("the price")
    person.click_on("button", "Save and go on Enter")
    meant = in_order(*(span(*one) for one in DRAGGED), span("unfactual", "Paris", "big"))
    assert only_answer(person, "ann") == SpansAnswer(meant, ("who built it, <b>and</b> when", "the price"))


def test_text_from_right_to_left_and_signs_that_cannot_be_seen(serve: Serve, visit: Visit):
    person = visit(serve("spans", SETTINGS, rows=ROWS), "ben").ready()
    buttons = person.page.get_by_role("group", name="Mark the selected text as")
    drag(person, "בפריז", right_to_left=True)
    buttons.get_by_text("irrelevant").click()
    drag(person, "U+202E")
    buttons.get_by_text("unfactual").click()
    drag(person, "all", "U+200B")
    buttons.get_by_text("+insightful").click()
    person.click_on("button", "Save and go on Enter")
    meant = in_order(
        span("irrelevant", "בפריז"), span("unfactual", "\u202e"), span("+insightful", "all", "\u200b")
    )
    assert only_answer(person, "ben") == SpansAnswer(meant)


def reach(person: Person, word: str) -> None:
    """Step from word to word until this one is in hand, as somebody does who listens to the page."""
    told = person.page.locator("#selected")
    for _ in range(60):
        before = told.inner_text()
        person.press("ArrowRight")
        person.expect(told).not_to_have_text(before)
        if told.inner_text() == f"Selected: “{word}”":
            return
    raise AssertionError(f"{word!r} is not reached")


def test_words_are_marked_by_keys_alone(serve: Serve, visit: Visit):
    person = visit(serve("spans", SETTINGS, rows=ROWS), "cleo").ready()
    person.press("t")
    reach(person, "👩‍👩‍👧")
    person.press("1")
    assert person.status() == "Marked as irrelevant: “👩‍👩‍👧”"
    reach(person, "big")
    person.press("Shift+ArrowRight", "Shift+ArrowRight", "2")
    reach(person, "noir")
    person.press("Control+ArrowLeft", "Control+ArrowLeft", "3")
    reach(person, "בפריז")
    person.press("1", "Shift+ArrowRight", "2", "Backspace")
    assert person.status() == "No longer marked as unfactual: “בפריז יש”"
    reach(person, "End")
    person.press("Shift+ArrowRight", "2")
    person.press("m")
    person.page.keyboard.type("the price, 1 2 3 s u")
    person.press("Enter", "Escape")
    person.press_on("Enter")
    flag = span("unfactual", "End", "🇫🇷")
    meant = in_order(
        span("irrelevant", "👩‍👩‍👧"),
        span("unfactual", "big.", "\nLe"),
        span("+insightful", "no"),
        span("irrelevant", "בפריז"),
        flag,
    )
    assert only_answer(person, "cleo") == SpansAnswer(meant, ("the price, 1 2 3 s u",))


def test_words_above_and_below_are_reached_by_keys(serve: Serve, visit: Visit):
    person = visit(serve("spans", SETTINGS, rows=ROWS), "dora").ready()
    selected = person.page.locator("#selected")
    person.press("t", "ArrowRight")
    person.expect(selected).to_have_text("Selected: “Paris”")
    person.press("ArrowDown")
    person.expect(selected).to_have_text("Selected: “Le”")
    person.press("End", "ArrowUp", "Home")
    person.expect(selected).to_have_text("Selected: “Paris”")
    person.press("ArrowDown", "Shift+ArrowDown")
    person.expect(selected).to_have_text("Selected: “Le cafe\u0301 noir is cheap”")
    person.press("3")
    person.press_on("Enter")
    assert only_answer(person, "dora") == SpansAnswer((span("+insightful", "Le", "cheap"),))


def test_nothing_wrong_is_an_answer_too(serve: Serve, visit: Visit):
    person = visit(serve("spans", SETTINGS, rows=ROWS), "eve").ready()
    person.press("1")
    assert person.status() == "Select the text to be marked first."
    person.press_on("Enter")
    assert only_answer(person, "eve") == SpansAnswer(())


def test_what_is_half_done_outlives_a_reload_and_another_browser(serve: Serve, visit: Visit):
    study = serve("spans", SETTINGS, rows=ROWS)
    person = visit(study, "fay").ready()
    person.press("t", "ArrowRight", "1")
    person.press("c")
    person.page.keyboard.type("half done, 1 2")
    person.page.reload()
    person.ready()
    assert person.page.locator("#comment").input_value() == "half done, 1 2"
    assert person.page.locator("#marks li").all_inner_texts() == ["irrelevant\n“Paris”\nRemove"]
    with person.page.expect_response(lambda reply: reply.url.endswith("/draft") and reply.ok):
        person.page.get_by_label("Something that the answer leaves out").fill("the price")
    elsewhere = visit(study, "fay").ready()
    assert elsewhere.page.locator("#comment").input_value() == "half done, 1 2"
    assert elsewhere.page.locator("#missing-list li").all_inner_texts() == ["the price\nRemove"]
    elsewhere.click_on("button", "Save and go on Enter")
    label = study.labels("fay")["row-0"]
    assert label.answer == SpansAnswer((span("irrelevant", "Paris"),), ("the price",))
    assert label.comment == "half done, 1 2"
