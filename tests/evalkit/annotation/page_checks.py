"""What holds of every page: names of controls, contrast of text, nothing wider than the window."""

from collections.abc import Iterator

from tests.evalkit.annotation.browser import Person

PAGE = ("RootWebArea", "main")
"""Take the focus only where a link within the page leads there."""
LEAST_CONTRAST = 4.5
"""Of text against its ground (WCAG 2.2, 1.4.3, level AA); large text needs less, and has it too."""

# Each text with what it is drawn with: colours blended over all that lies behind, opacity included.
_CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const seen = new Map();
  const read = (color) => {
    if (!seen.has(color)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      seen.set(color, [r, g, b, a / 255]);
    }
    return seen.get(color);
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, n) => value * a + below[n] * (1 - a));
  const light = (rgb) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ground = (element) => {
    const last = dark ? [18, 18, 18] : [255, 255, 255];
    const below = element.parentElement ? ground(element.parentElement) : last;
    return over(read(getComputedStyle(element).backgroundColor), below);
  };
  const faded = (element) => element ? getComputedStyle(element).opacity * faded(element.parentElement) : 1;
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(":disabled, [data-behind], script, noscript, option")) continue;
    const behind = ground(element);
    const [r, g, b, a] = read(getComputedStyle(element).color);
    const [first, second] = [over([r, g, b, a * faded(element)], behind), behind].map(light);
    const ratio = (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
    found.push([ratio, node.data.trim().slice(0, 40)]);
  }
  return found;
}"""

_WIDER = """(window) => {
  if (document.scrollingElement.scrollWidth <= window) return [];
  // What scrolls by itself may be as wide as it likes.
  const contained = ".table, .code, .formula";
  const inside = (one) => one.getBoundingClientRect().right <= window || one.closest(contained);
  const wide = [...document.body.querySelectorAll("*")].filter((one) => !inside(one));
  return ["the page", ...wide.map((one) => `${one.tagName} ${one.className} ${one.id}`)];
}"""


def faint_texts(person: Person) -> list[tuple[float, str]]:
    """The texts on the page that are hard to read, with their contrast."""
    found = person.page.evaluate(_CONTRASTS)
    assert len(found) > 10 or person.page.locator("main.rest").count()
    return [(round(ratio, 2), text) for ratio, text in found if ratio < LEAST_CONTRAST]


def controls(person: Person) -> Iterator[tuple[str, str]]:
    """The role and the name of all on the page that can have the focus, as a screen reader is told them."""
    session = person.context.new_cdp_session(person.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    for node in nodes:
        told = {item["name"]: item["value"].get("value") for item in node.get("properties", [])}
        if not node["ignored"] and told.get("focusable") and node["role"]["value"] not in PAGE:
            yield node["role"]["value"], node["name"]["value"].strip()


def overflow(person: Person) -> list[str]:
    """What is wider than the window, so that the page would scroll sideways."""
    # A phone's own innerWidth grows with what is too wide.
    return person.page.evaluate(_WIDER, person.page.viewport_size["width"])
