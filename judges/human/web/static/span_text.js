// A text shown plain, whose places are counted in Unicode code points, as Python counts them.

export class SpanText {
  // `unseen` are [offset, name] of characters that are shown by their name.
  constructor(box, text, unseen) {
    this.box = box;
    this.points = Array.from(text);
    this.unseen = new Map(unseen);
    this.lines = [0];
    this.points.forEach((point, n) => point === "\n" && this.lines.push(n + 1));
    this.words = new Map();
    this.draw([]);
  }

  get length() { return this.points.length; }

  slice(start, end) { return this.points.slice(start, end).join(""); }

  // The same with names in place of what the eye cannot see.
  shown(start, end) {
    const signs = this.points.slice(start, end).map((point, n) => this.unseen.get(start + n) ?? point);
    return signs.join("");
  }

  // Draw the text with marks {start, end, color}: an element for each stretch that the same marks cover.
  draw(marks) {
    const lanes = inLanes(marks);
    const borders = new Set([0, this.length]);
    for (const at of this.unseen.keys()) borders.add(at).add(at + 1);
    // HTML would make one line end of two, here each keeps its place.
    this.points.forEach((point, n) => point === "\r" && borders.add(n).add(n + 1));
    for (const mark of marks) borders.add(mark.start).add(mark.end);
    const places = [...borders].sort((a, b) => a - b);
    this.pieces = places.slice(0, -1).map((start, n) => this.piece(start, places[n + 1], marks, lanes));
    this.box.replaceChildren(...this.pieces.map((piece) => piece.element));
  }

  piece(start, end, marks, lanes) {
    const covering = marks.filter((mark) => mark.start <= start && end <= mark.end);
    const element = document.createElement(covering.length ? "mark" : "span");
    const name = this.unseen.get(start);
    element.dataset.start = start;
    // The first half of a Windows line end has its place, and no sign.
    element.textContent = name ?? (this.points[start] === "\r" ? "" : this.slice(start, end));
    if (name) element.className = "unseen";
    underline(element, covering, lanes);
    const begun = covering.filter((mark) => mark.start === start).map((mark) => mark.badge);
    if (begun.length) element.dataset.badge = begun.join(" ");
    return { start, end, element, whole: element.textContent !== this.slice(start, end) };
  }

  // The selected stretch as [start, end), without blanks at its ends; null where nothing in here is selected.
  selected() {
    const selection = document.getSelection();
    if (!selection.rangeCount) return null;
    const range = selection.getRangeAt(0);
    if (!range.intersectsNode(this.box)) return null;
    const inside = (node) => this.box.contains(node);
    const first = inside(range.startContainer) ? this.offset(range.startContainer, range.startOffset, false) : 0;
    const last = inside(range.endContainer) ? this.offset(range.endContainer, range.endOffset, true) : this.length;
    return this.trimmed(first, last);
  }

  // Whether the selection is an empty one in this text, which means that nothing is selected any more.
  collapsed() {
    const selection = document.getSelection();
    return selection.isCollapsed && this.box.contains(selection.anchorNode);
  }

  // The place of a click, as an empty stretch; null where it was none.
  clicked() {
    const { anchorNode, anchorOffset } = document.getSelection();
    if (anchorNode?.nodeType !== Node.TEXT_NODE || !this.box.contains(anchorNode)) return null;
    const at = this.offset(anchorNode, anchorOffset, false);
    return [at, at];
  }

  offset(node, index, ending) {
    const element = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest("[data-start]");
    if (!element) return this.pieces[index]?.start ?? this.length;
    const piece = this.pieces.find((other) => other.element === element);
    if (piece.whole) return ending && index > 0 ? piece.end : piece.start;
    if (node.nodeType !== Node.TEXT_NODE) return index > 0 ? piece.end : piece.start;
    return piece.start + Array.from(node.data.slice(0, index)).length;
  }

  trimmed(start, end) {
    const blank = (n) => /^\s$/.test(this.points[n]);
    let [from, to] = [start, end];
    while (from < to && blank(from)) from += 1;
    while (from < to && blank(to - 1)) to -= 1;
    if (from < to) return [from, to];
    return start < end ? [start, end] : null;
  }

  // The place in the document that an offset stands for: [node, index].
  place(offset, ending) {
    const piece = this.pieces.find((other) => (ending ? offset <= other.end : offset < other.end));
    const node = piece?.element.firstChild;
    if (!node) return [this.box, piece ? this.pieces.indexOf(piece) : this.box.childNodes.length];
    if (piece.whole) return [node, offset > piece.start ? node.length : 0];
    return [node, this.slice(piece.start, offset).length];
  }

  range(start, end) {
    const range = document.createRange();
    range.setStart(...this.place(start, false));
    range.setEnd(...this.place(end, true));
    return range;
  }

  select(start, end) {
    const selection = document.getSelection();
    selection.removeAllRanges();
    selection.addRange(this.range(start, end));
  }

  lineOf(offset) {
    let [low, high] = [0, this.lines.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.lines[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The words of a line as [start, end); a sign of punctuation is a word too.
  wordsOf(line) {
    if (!this.words.has(line)) {
      const start = this.lines[line];
      this.words.set(line, words(this.slice(start, this.lines[line + 1] ?? this.length), start));
    }
    return this.words.get(line);
  }

  wordAfter(offset) {
    for (let line = this.lineOf(offset); line < this.lines.length; line += 1) {
      const word = this.wordsOf(line).find(([start]) => start >= offset);
      if (word) return word;
    }
    return null;
  }

  wordBefore(offset) {
    for (let line = this.lineOf(offset); line >= 0; line -= 1) {
      const word = this.wordsOf(line).findLast(([, end]) => end <= offset);
      if (word) return word;
    }
    return null;
  }
}

function words(text, start) {
  const found = [];
  let at = start;
  for (const part of parts(text, "word")) {
    const end = at + Array.from(part).length;
    if (part.trim()) found.push([at, end]);
    at = end;
  }
  return found;
}

// A text cut into words, or into what a reader takes for one character.
export function parts(text, granularity) {
  if (!Intl.Segmenter) return granularity === "word" ? (text.match(/\s+|\S+/g) ?? []) : Array.from(text);
  const segmenter = new Intl.Segmenter(undefined, { granularity });
  return Array.from(segmenter.segment(text), (part) => part.segment);
}

// A lane for each mark, so that the lines under marks that overlap lie below one another.
function inLanes(marks) {
  const lanes = new Map();
  const ends = [];
  for (const mark of [...marks].sort((a, b) => a.start - b.start || b.end - a.end)) {
    let lane = ends.findIndex((end) => end <= mark.start);
    if (lane < 0) lane = ends.length;
    ends[lane] = mark.end;
    lanes.set(mark, lane);
  }
  return lanes;
}

function underline(element, covering, lanes) {
  if (!covering.length) return;
  const color = (mark) => `var(--aspect-${mark.color})`;
  element.style.setProperty("--tint", color(covering[covering.length - 1]));
  element.style.backgroundImage = covering.map((mark) => `linear-gradient(${color(mark)}, ${color(mark)})`).join(", ");
  element.style.backgroundPosition = covering.map((mark) => `0 calc(100% - ${4 * lanes.get(mark)}px)`).join(", ");
  element.style.paddingBottom = `${4 * (1 + Math.max(...covering.map((mark) => lanes.get(mark))))}px`;
  element.title = covering.map((mark) => mark.aspect).join(", ");
}
