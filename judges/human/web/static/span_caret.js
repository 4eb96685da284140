// Selecting text by keys: a word is in hand, Shift takes in words beside it, Ctrl moves the end by a character.

import { parts } from "./span_text.js";

const MOST_WORDS = 400; // Looked at for the line above or below.
const NEAR = 64; // Code points in which the next character's end is looked for.

export class SpanCaret {
  constructor(text) {
    this.text = text;
    this.first = null;
    this.head = null;
  }

  // Go on from what was selected or clicked by other means; what it has selected itself is no news to it.
  follow(stretch) {
    if (!stretch) return;
    const known = this.head && this.stretch[0] === stretch[0] && this.stretch[1] === stretch[1];
    if (!known) this.first = this.head = stretch;
  }

  get stretch() {
    return [Math.min(this.first[0], this.head[0]), Math.max(this.first[1], this.head[1])];
  }

  // True where the key moved it.
  key(event) {
    const { key, shiftKey, ctrlKey, altKey, metaKey } = event;
    if (altKey || metaKey || !/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(key)) return false;
    if (!this.head) {
      const word = this.text.wordAfter(0);
      if (!word) return false;
      this.follow(word);
    } else if (ctrlKey) {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
      this.nudge(key === "ArrowRight" ? 1 : -1);
    } else {
      this.head = this.target(key, shiftKey) ?? this.head;
      if (!shiftKey) this.first = this.head;
    }
    this.show();
    return true;
  }

  target(key, extending) {
    const [start, end] = extending ? this.head : this.stretch;
    const words = this.text.wordsOf(this.text.lineOf(start));
    switch (key) {
      case "ArrowRight": return this.text.wordAfter(end);
      case "ArrowLeft": return this.text.wordBefore(start);
      case "Home": return words[0];
      case "End": return words[words.length - 1];
      default: return this.onNextLine(key === "ArrowDown" ? 1 : -1);
    }
  }

  // The word above or below, on the line as it is drawn.
  onNextLine(by) {
    const box = (word) => this.text.range(...word).getBoundingClientRect();
    const from = box(this.head);
    const middle = from.left + from.width / 2;
    const off = (rect) => Math.abs(rect.left + rect.width / 2 - middle);
    let best = null;
    let word = this.head;
    for (let n = 0; n < MOST_WORDS; n += 1) {
      word = by > 0 ? this.text.wordAfter(word[1]) : this.text.wordBefore(word[0]);
      if (!word) break;
      const rect = box(word);
      if (Math.abs(rect.top - (best?.rect ?? from).top) > from.height / 2) {
        if (best) break;
        best = { word, rect };
      } else if (best && off(rect) < off(best.rect)) {
        best = { word, rect };
      }
    }
    return best?.word ?? null;
  }

  // Move the end in hand by what a reader takes for one character; something stays selected.
  nudge(by) {
    const backward = this.head[0] < this.first[0];
    const edge = backward ? this.head[0] : this.head[1];
    const near = by > 0 ? this.text.slice(edge, edge + NEAR) : this.text.slice(Math.max(edge - NEAR, 0), edge);
    const character = parts(near, "grapheme").at(by > 0 ? 0 : -1) ?? "";
    const moved = edge + by * Array.from(character).length;
    const alone = this.head === this.first;
    const head = backward ? [moved, this.head[1]] : [this.head[0], moved];
    if (head[0] >= head[1]) return;
    this.head = head;
    if (alone) this.first = head;
  }

  show() {
    const [start, end] = this.stretch;
    this.text.select(start, end);
    const rect = this.text.range(...this.head).getBoundingClientRect();
    const box = this.text.box;
    const frame = box.getBoundingClientRect();
    if (rect.bottom > frame.bottom) box.scrollTop += rect.bottom - frame.bottom + rect.height;
    if (rect.top < frame.top) box.scrollTop -= frame.top - rect.top + rect.height;
    // The bar lies over the foot of the window.
    const seen = this.text.range(...this.head).getBoundingClientRect();
    const foot = document.querySelector(".bar").getBoundingClientRect().top;
    if (seen.bottom > foot - seen.height) window.scrollBy(0, seen.bottom - foot + 2 * seen.height);
    else if (seen.top < seen.height) window.scrollBy(0, seen.top - 2 * seen.height);
  }
}
