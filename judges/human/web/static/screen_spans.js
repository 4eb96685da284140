// What is wrong where in one answer, and what it leaves out.

import { single } from "./cards.js";
import { SpanCaret } from "./span_caret.js";
import { SpanText } from "./span_text.js";
import { storable } from "./unsent.js";

const COLORS = 8;
const LONGEST_QUOTE = 80;

export class Spans {
  constructor(page, hooks) {
    this.page = page;
    this.hooks = hooks;
    this.box = document.getElementById("text");
    this.text = new SpanText(this.box, page.text, page.unseen);
    this.caret = new SpanCaret(this.text);
    this.buttons = [...document.querySelectorAll("[data-aspect]")];
    this.missingInput = document.getElementById("missing");
    this.spans = []; // In the order in which they were marked.
    this.missing = [];
    this.pending = null;
    this.listen();
    this.draw();
  }

  listen() {
    document.addEventListener("selectionchange", () => this.selectionChanged());
    // What is selected would be dragged away, where somebody means to select a part of it.
    this.box.addEventListener("mousedown", (event) => {
      if (event.button === 0 && event.detail === 1 && !event.shiftKey) document.getSelection().removeAllRanges();
    });
    for (const button of this.buttons) {
      // Taking the focus would take the selection away, on touch screens before the click arrives.
      button.addEventListener("pointerdown", (event) => event.preventDefault());
      button.addEventListener("click", () => this.mark(Number(button.dataset.aspect)));
    }
    document.getElementById("add-missing").addEventListener("click", () => this.addMissing());
    this.missingInput.addEventListener("input", () => this.hooks.changed());
    this.missingInput.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
      event.preventDefault();
      this.addMissing();
    });
  }

  restore(answer) {
    const spans = Array.isArray(answer?.spans) ? answer.spans : [];
    const missing = Array.isArray(answer?.missing) ? answer.missing : [];
    this.spans = spans.filter((span) => this.fits(span));
    this.missing = missing.filter((text) => typeof text === "string" && text.trim());
    this.draw();
  }

  fits(span) {
    const whole = Number.isInteger(span?.start) && Number.isInteger(span?.end);
    return whole && 0 <= span.start && span.start < span.end && span.end <= this.text.length
      && this.page.aspects.includes(span.aspect);
  }

  answer() {
    const typed = storable(this.missingInput.value).trim();
    const spans = [...this.spans].sort((a, b) => a.start - b.start || a.end - b.end);
    return {
      spans: spans.map(({ start, end, aspect }) => ({ start, end, aspect, label: Number(aspect.startsWith("+")) })),
      missing: typed ? [...this.missing, typed] : [...this.missing],
    };
  }

  lacks() { return ""; }

  told() {
    const { spans, missing } = this.answer();
    return `${spans.length} marked, ${missing.length} missing`;
  }

  key(event) {
    if (event.target === this.box) {
      this.selectionChanged();
      if (this.caret.key(event)) return true;
    }
    if (!single(event)) return false;
    const aspect = Number(event.key) - 1;
    if (aspect >= 0 && aspect < this.page.aspects.length) this.mark(aspect);
    else if (event.key === "Backspace" || event.key === "Delete") this.removeLast();
    else if (event.key.toLowerCase() === "t") this.box.focus();
    else if (event.key.toLowerCase() === "m") this.missingInput.focus();
    else return false;
    return true;
  }

  selectionChanged() {
    const stretch = this.text.selected();
    // A selection elsewhere, such as in the comment, leaves what is in hand.
    if (!stretch && !this.text.collapsed()) return;
    this.pending = stretch;
    this.caret.follow(stretch ?? this.text.clicked());
    const selected = document.getElementById("selected");
    selected.textContent = stretch ? `Selected: ${quoted(this.text.shown(...stretch))}` : "";
    for (const button of this.buttons) button.disabled = !stretch;
  }

  mark(aspect) {
    // The browser tells of a new selection a little later; a quick hand has pressed the next key by then.
    this.selectionChanged();
    if (!this.pending) {
      this.hooks.tell("Select the text to be marked first.");
      return;
    }
    const [start, end] = this.pending;
    const name = this.page.aspects[aspect];
    if (this.spans.some((span) => span.start === start && span.end === end && span.aspect === name)) {
      this.hooks.tell("That is marked so already.");
      return;
    }
    this.spans.push({ start, end, aspect: name });
    this.hooks.tell(`Marked as ${name}: ${quoted(this.text.shown(start, end))}`);
    this.changed();
    // What is marked stays selected, and may be marked as something else too.
    this.text.select(start, end);
  }

  removeLast() {
    const span = this.spans[this.spans.length - 1];
    if (span) this.remove(span);
  }

  remove(span) {
    this.spans = this.spans.filter((other) => other !== span);
    this.hooks.tell(`No longer marked as ${span.aspect}: ${quoted(this.text.shown(span.start, span.end))}`);
    this.changed();
  }

  addMissing() {
    const typed = storable(this.missingInput.value).trim();
    if (!typed) return;
    this.missing.push(typed);
    this.missingInput.value = "";
    this.changed();
  }

  removeMissing(place) {
    this.missing.splice(place, 1);
    this.changed();
    this.missingInput.focus();
  }

  changed() {
    this.draw();
    this.hooks.changed();
  }

  draw() {
    this.text.draw(this.spans.map((span) => {
      const aspect = this.page.aspects.indexOf(span.aspect);
      return { ...span, color: aspect % COLORS, badge: String(aspect + 1) };
    }));
    const sorted = [...this.spans].sort((a, b) => a.start - b.start || a.end - b.end);
    document.getElementById("marks").replaceChildren(...sorted.map((span) => this.item(span)));
    document.getElementById("no-marks").hidden = sorted.length > 0;
    document.getElementById("missing-list").replaceChildren(...this.missing.map((text, place) =>
      listItem([isolated(text)], `Remove from what is missing: ${text}`, () => this.removeMissing(place))));
  }

  item(span) {
    const aspect = this.page.aspects.indexOf(span.aspect);
    const chip = isolated(span.aspect);
    chip.className = `chip aspect-${aspect % COLORS}`;
    const quote = quoted(this.text.shown(span.start, span.end));
    const item = listItem([chip, isolated(quote)], `Remove ${span.aspect}: ${quote}`, () => {
      this.remove(span);
      this.box.focus({ preventScroll: true });
    });
    Object.assign(item.dataset, { start: span.start, end: span.end, aspect: span.aspect });
    return item;
  }
}

function quoted(text) {
  const points = Array.from(text.replace(/\s+/g, " "));
  const short = points.length > LONGEST_QUOTE ? `${points.slice(0, LONGEST_QUOTE - 1).join("")}…` : points.join("");
  return `“${short}”`;
}

function isolated(text) {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}

function listItem(parts, label, remove) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Remove";
  button.setAttribute("aria-label", label);
  button.addEventListener("click", remove);
  item.append(...parts, button);
  return item;
}
