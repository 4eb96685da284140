// The annotator's page: reads what the server put into it, starts its screen, posts what is answered.

import { Clock } from "./clock.js";
import { Drafts } from "./drafts.js";
import { listenToKeys } from "./keys.js";
import { SCREENS } from "./screens.js";
import { newNonce, storable, Unsent } from "./unsent.js";
import { startView } from "./view.js";

const LOOK_AGAIN = 30_000;
const TOLD = "evalkit.told";

const page = JSON.parse(document.getElementById("page").textContent);
const comment = document.getElementById("comment");
const status = document.getElementById("status");
const banner = document.getElementById("banner");
const Screen = SCREENS[page.screen];

let busy = false;
let answered = false; // What was posted last ends the task in hand.
const hooks = { busy: () => busy, changed: () => drafts?.changed(), save, tell };
const screen = Screen ? new Screen(page, hooks) : null;
const clock = new Clock(0);
const drafts = screen ? new Drafts(page, said) : null;
const unsent = new Unsent(page, onSent);

function said() {
  return { answer: screen.answer(), comment: storable(comment.value), seconds: clock.seconds() };
}

function tell(text) {
  status.textContent = text;
}

function setBusy(value) {
  busy = value;
  document.body.toggleAttribute("data-busy", value);
}

// Answer with what the screen has; where something is missing, say what.
function save() {
  const lacks = screen?.lacks();
  if (busy || !screen) return;
  if (lacks) {
    tell(lacks);
    screen.showLack?.();
    return;
  }
  send("/answer", { handle: page.handle, nonce: newNonce(), ...said() }, `Saved: ${screen.told()}.`);
}

function skip() {
  if (busy || !screen) return;
  const { comment: why, seconds } = said();
  const body = { handle: page.handle, nonce: newNonce(), answer: null, comment: why, seconds };
  send("/skip", body, "Skipped.");
}

function undo() {
  if (busy) return;
  // What stands here unfinished comes back when its turn is.
  drafts?.leave();
  send("/undo", { nonce: newNonce() }, "Taken back: change it and answer again.");
}

// Busy from the first press on, so that a double click posts once; kept before it is sent.
function send(path, body, told) {
  setBusy(true);
  drafts?.close();
  answered = path !== "/undo";
  unsent.add(path, body);
  try { sessionStorage.setItem(TOLD, told); } catch { /* It is only not told. */ }
  unsent.send();
}

function onSent(state) {
  if (state === "saved") {
    if (answered) drafts.forget();
    reload();
    return;
  }
  if (state === "nothing" || state === "refused") {
    setBusy(false);
    drafts?.reopen();
    if (state === "nothing") tell("There is nothing to take back.");
    else showRefused();
    return;
  }
  const texts = {
    offline: "Not saved yet: the server cannot be reached. Your answer is kept in this browser and sent again"
      + " by itself. You can leave this page open, or come back later.",
    "signed-out": "Not saved yet: you are no longer signed in. Open your personal link again; your answer is"
      + " kept in this browser and sent then.",
    stale: "Not saved yet: this page is out of date. Load it again; your answer is kept and sent then.",
  };
  showBanner(texts[state], state === "offline" ? [["Send now", () => unsent.send()]] : [["Load again", reload]]);
}

function showRefused() {
  const refused = unsent.refused();
  if (!refused.length) return;
  showBanner(`Not saved: ${refused.map((entry) => entry.refused).join("; ")}`, [
    ["Load again", reload],
    ["Send again", () => { setBusy(true); unsent.retryRefused(); }],
    ["Discard", () => { unsent.discardRefused(); banner.hidden = true; }],
  ]);
}

function showBanner(text, actions) {
  const told = document.createElement("p");
  told.textContent = text;
  const buttons = actions.map(([name, act]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", act);
    return button;
  });
  banner.replaceChildren(told, ...buttons);
  banner.hidden = false;
}

function reload() { location.replace("/"); }

function start() {
  startView(page);
  if (screen) {
    const draft = drafts.restored() ?? {};
    clock.total = Math.max(Number(draft.seconds) || 0, 0) * 1000;
    comment.value = typeof draft.comment === "string" ? draft.comment : "";
    screen.restore(draft.answer ?? null);
    comment.addEventListener("input", hooks.changed);
  }
  for (const [action, act] of Object.entries({ skip, undo, save, again: reload })) {
    document.querySelector(`[data-action="${action}"]`)?.addEventListener("click", act);
  }
  listenToKeys({ screen, skip, undo, save, comment });
  try {
    tell(sessionStorage.getItem(TOLD) ?? "");
    sessionStorage.removeItem(TOLD);
  } catch { /* It is only not told. */ }
  // A page that the browser kept on going back shows a task that may be answered by now.
  window.addEventListener("pageshow", (event) => event.persisted && reload());
  if (document.querySelector("[data-waiting]")) setInterval(reload, LOOK_AGAIN);
  if (unsent.waiting().length) {
    setBusy(true);
    tell("Sending what was kept in this browser…");
    unsent.send();
  } else {
    showRefused();
  }
  document.body.setAttribute("data-ready", "");
}

if (unsent.outrun()) reload();
else start();
