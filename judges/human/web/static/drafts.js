// Drafts: what is not finished is kept on the server, and in this browser until the server has it.

import { newNonce, post, storage } from "./unsent.js";

const KEPT = "evalkit.draft.";
const PAUSE = 1500;
const OLDEST = 30 * 24 * 3600 * 1000;

export class Drafts {
  // `read()` returns {answer, comment, seconds} as the page stands.
  constructor(page, read) {
    this.page = page;
    this.read = read;
    this.key = `${KEPT}${page.annotator}.${page.handle}`;
    this.closed = false;
    forgetOld();
    window.addEventListener("pagehide", () => this.leave());
    document.addEventListener("visibilitychange", () => document.hidden && this.leave());
  }

  // What the page begins with: this browser's copy, where the server may not have it, else the server's.
  restored() {
    try {
      const kept = JSON.parse(storage.get(this.key));
      if (kept?.draft) return kept.draft;
    } catch { /* No draft of ours. */ }
    return this.page.draft;
  }

  changed() {
    if (this.closed) return;
    this.dirty = true;
    storage.set(this.key, JSON.stringify({ draft: this.read(), time: Date.now() }));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(false), PAUSE);
  }

  // An answer or a skip takes the draft's place; what is still on its way may come late, and is refused.
  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }

  forget() { storage.remove(this.key); }

  reopen() { this.closed = false; }

  leave() {
    if (this.dirty && !this.closed) this.send(true);
  }

  async send(leaving) {
    clearTimeout(this.timer);
    this.dirty = false;
    const body = { handle: this.page.handle, nonce: newNonce(), ...this.read() };
    const kept = storage.get(this.key);
    try {
      const reply = await post("/draft", body, this.page.csrf, leaving);
      if (reply.ok && storage.get(this.key) === kept) storage.remove(this.key);
    } catch { /* The copy in this browser stays, and the next change or visit sends it. */ }
  }
}

function forgetOld() {
  for (const key of storage.keys(KEPT)) {
    try {
      if (Date.now() - JSON.parse(storage.get(key)).time > OLDEST) storage.remove(key);
    } catch { storage.remove(key); }
  }
}
