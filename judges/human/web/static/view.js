// How the task is looked at: formatted or as written, answers that scroll together, instructions.

import { storage } from "./unsent.js";

const RAW = "evalkit.raw";
const APART = "evalkit.apart";
const READ = "evalkit.read.";
const LINE = 24; // Pixels, of a wheel that counts in lines.

export function startView(page) {
  const raw = document.getElementById("raw");
  if (raw) {
    raw.checked = storage.get(RAW) === "1";
    raw.addEventListener("change", () => showRaw(raw.checked));
    showRaw(raw.checked);
  }
  const together = document.getElementById("together");
  if (together) {
    together.checked = storage.get(APART) !== "1";
    together.addEventListener("change", () => storage.set(APART, together.checked ? "0" : "1"));
    scrollTogether([...document.querySelectorAll(".answers .pane")], () => together.checked);
  }
  openInstructions(page);
  // Of a long conversation the last turn is what is answered.
  const turns = document.querySelector(".turns");
  if (turns) turns.scrollTop = turns.lastElementChild.offsetTop - turns.firstElementChild.offsetTop;
}

function showRaw(raw) {
  storage.set(RAW, raw ? "1" : "0");
  for (const text of document.querySelectorAll("[data-text]")) {
    text.hidden = (text.dataset.text === "raw") !== raw;
  }
}

export function toggleRaw() { document.getElementById("raw")?.click(); }

// Instructions are open until they have been seen once, and again when they are others.
function openInstructions(page) {
  const instructions = document.getElementById("instructions");
  if (!instructions) return;
  let hash = 0;
  for (const sign of instructions.textContent) hash = (hash * 31 + sign.codePointAt(0)) | 0;
  const key = `${READ}${page.annotator}`;
  instructions.open = storage.get(key) !== String(hash);
  storage.set(key, String(hash));
}

// Each pane stands at the same share of its own length.
function scrollTogether(panes, on) {
  const expected = new Map();
  for (const pane of panes) {
    pane.addEventListener("wheel", (event) => on() && turnLongest(panes, event), { passive: false });
    pane.addEventListener("scroll", () => {
      // The echo of what was set below moves nobody.
      if (Math.abs((expected.get(pane) ?? -9) - pane.scrollTop) < 2) {
        expected.delete(pane);
        return;
      }
      const room = pane.scrollHeight - pane.clientHeight;
      if (!on() || room <= 0) return;
      for (const other of panes) {
        const top = Math.round((pane.scrollTop / room) * (other.scrollHeight - other.clientHeight));
        if (other === pane || other.scrollHeight <= other.clientHeight || other.scrollTop === top) continue;
        expected.set(other, top);
        other.scrollTop = top;
      }
    }, { passive: true });
  }
}

// By the wheel the longest pane is scrolled, whichever is pointed at: a pane that has hardly more than it
// shows would carry the others to their ends at one turn. At its end, the page goes on.
function turnLongest(panes, event) {
  if (event.ctrlKey || event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
  const room = (pane) => pane.scrollHeight - pane.clientHeight;
  const longest = [...panes].sort((a, b) => room(b) - room(a))[0];
  const before = longest.scrollTop;
  longest.scrollTop += event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
  if (longest.scrollTop !== before) event.preventDefault();
}

// Scroll the panes by a key that was pressed outside of them; false where they do not scroll.
export function scrollPanes(key) {
  const panes = [...document.querySelectorAll(".answers .pane")];
  const scrolling = panes.filter((pane) => pane.scrollHeight > pane.clientHeight + 1);
  const pane = scrolling.sort((a, b) => b.scrollHeight - a.scrollHeight)[0];
  if (!pane || getComputedStyle(pane).overflowY === "visible") return false;
  const page = pane.clientHeight * 0.9;
  const by = { ArrowUp: -48, ArrowDown: 48, PageUp: -page, PageDown: page, " ": page }[key];
  if (by === undefined) return false;
  const together = document.getElementById("together")?.checked;
  for (const moved of together ? [pane] : scrolling) moved.scrollTop += by;
  return true;
}
