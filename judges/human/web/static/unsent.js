// What was posted and not yet confirmed: kept in this browser, and sent again until it is.

const KEPT = "evalkit.unsent.";
const LONGEST_WAIT = 30_000;
const MOST_KEEPALIVE = 60_000; // Browsers refuse more than 64 KiB on the way out of a page.

export function newNonce() {
  // crypto.randomUUID exists in secure contexts only, and a study may be served by plain HTTP in a house.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What somebody pasted, without the characters that no database holds.
export function storable(text) {
  const well = text.toWellFormed?.() ?? text;
  return well.replaceAll("\0", "");
}

export function post(path, body, csrf, leaving = false) {
  const text = JSON.stringify(body);
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: text,
    credentials: "same-origin",
    keepalive: leaving && text.length < MOST_KEEPALIVE,
    signal: leaving ? undefined : AbortSignal.timeout(20_000),
  });
}

// Local storage that goes on in memory where the browser has none for us (private windows, full quotas).
export const storage = {
  memory: new Map(),
  get(key) {
    if (this.memory.has(key)) return this.memory.get(key);
    try { return localStorage.getItem(key); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(key, value); this.memory.delete(key); } catch { this.memory.set(key, value); }
  },
  remove(key) {
    this.memory.delete(key);
    try { localStorage.removeItem(key); } catch { /* It was never there. */ }
  },
  keys(prefix) {
    const found = new Set(this.memory.keys());
    try { Object.keys(localStorage).forEach((key) => found.add(key)); } catch { /* Memory is all there is. */ }
    return [...found].filter((key) => key.startsWith(prefix)).sort();
  },
};

export class Unsent {
  // `show(state)` is told what became of each attempt: see `send`.
  constructor(page, show) {
    this.page = page;
    this.show = show;
    // Several people may use one browser, each sends what is theirs.
    this.prefix = `${KEPT}${page.annotator}.`;
    this.ended = `evalkit.ended.${page.annotator}`;
    this.wait = 1000;
    this.sending = false;
    window.addEventListener("online", () => this.send());
  }

  // A key of its own for each, so that two tabs do not overwrite each other; time first, so that they sort.
  add(path, body) {
    const time = String(Date.now()).padStart(15, "0");
    storage.set(`${this.prefix}${time}.${body.nonce}`, JSON.stringify({ path, body }));
  }

  entries() {
    return storage.keys(this.prefix).map((key) => ({ key, ...JSON.parse(storage.get(key) ?? "{}") }));
  }

  refused() { return this.entries().filter((entry) => entry.refused); }

  waiting() { return this.entries().filter((entry) => entry.path && !entry.refused); }

  retryRefused() {
    for (const { key, path, body } of this.refused()) storage.set(key, JSON.stringify({ path, body }));
    return this.send();
  }

  discardRefused() { this.refused().forEach((entry) => storage.remove(entry.key)); }

  // Send all that waits, in order. The states shown: "saved" when nothing is left and the last was taken
  // ("nothing" where there was nothing to undo), "offline" (it is tried again by itself), "signed-out",
  // "stale" (this page's token is no longer good), and "refused", kept until the person lets it go.
  async send() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    let state = null;
    for (const entry of this.waiting()) {
      state = await this.sendOne(entry);
      if (!["saved", "nothing", "refused"].includes(state)) break;
    }
    this.sending = false;
    if (state === "offline") this.again();
    else this.wait = 1000;
    if (state) this.show(state);
  }

  async sendOne({ key, path, body }) {
    let reply;
    try {
      reply = await post(path, body, this.page.csrf);
    } catch {
      return "offline";
    }
    const told = await reply.json().catch(() => ({}));
    if (reply.ok) {
      this.settle(path, body);
      storage.remove(key);
      return told.state === "nothing" ? "nothing" : "saved";
    }
    if (reply.status === 401) return "signed-out";
    if (reply.status === 403) return "stale";
    if (reply.status >= 500 || reply.status === 408 || reply.status === 429) return "offline";
    storage.set(key, JSON.stringify({ path, body, refused: told.error ?? `the server said ${reply.status}` }));
    return "refused";
  }

  // A page on its way while an answer goes out may show the task as open that this very answer ends.
  settle(path, body) {
    if (path === "/undo") storage.remove(this.ended);
    else storage.set(this.ended, body.handle);
  }

  // Whether this page is such a one. It is told once: somebody may have taken the answer back elsewhere.
  outrun() {
    const mine = Boolean(this.page.handle) && storage.get(this.ended) === this.page.handle;
    if (mine) storage.remove(this.ended);
    return mine;
  }

  again() {
    this.timer = setTimeout(() => this.send(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }
}
