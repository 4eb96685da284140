// Keys: none fires while somebody types, none with a modifier that browsers and screen readers use.

import { storage } from "./unsent.js";
import { toggleRaw } from "./view.js";

const OFF = "evalkit.keys-off";
const TYPED_IN = "textarea, select, input:not([type=checkbox]):not([type=radio]), [contenteditable]";

export function listenToKeys({ screen, skip, undo, save, comment }) {
  const on = document.getElementById("keys-on");
  if (on) {
    on.checked = storage.get(OFF) !== "1";
    on.addEventListener("change", () => storage.set(OFF, on.checked ? "0" : "1"));
  }
  const common = {
    s: skip,
    u: undo,
    c: () => comment?.focus(),
    r: toggleRaw,
    i: () => document.querySelector("#instructions > summary")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.target.matches?.(TYPED_IN)) {
      typing(event, save);
      return;
    }
    // Speech input and slips of the hand press single keys: they can be switched off (WCAG 2.1.4).
    if (on && !on.checked) return;
    if (handled(event, screen, save, common)) event.preventDefault();
  });
}

function typing(event, save) {
  if (event.key === "Escape") event.target.blur();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    save();
  }
}

function handled(event, screen, save, common) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    save();
    return true;
  }
  if (screen?.key(event)) return true;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return false;
  // Enter and space belong to what is in focus, where that is a control.
  if (event.key === "Enter" && !event.target.closest("button, summary, a, label")) {
    save();
    return true;
  }
  const act = common[event.key.toLowerCase()];
  act?.();
  return act !== undefined;
}
