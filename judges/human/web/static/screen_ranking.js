// The order of several; equal ranks are ties.

import { Cards, choose, chosen, onChoice, single } from "./cards.js";

export class Ranking {
  constructor(page, hooks) {
    this.hooks = hooks;
    this.count = page.count;
    this.cards = new Cards(["ArrowLeft", "ArrowRight"]);
    this.left = document.getElementById("left");
    this.order = document.getElementById("order");
    onChoice(() => this.changed());
    this.tell();
  }

  restore(answer) {
    const ranks = Array.isArray(answer?.ranks) ? answer.ranks : [];
    for (let place = 0; place < this.count; place += 1) choose(`rank-${place}`, ranks[place] ?? null);
    this.tell();
  }

  // As chosen: whoever gives 1, 1, 2 means a tie at the top, and so does 1, 1, 3.
  levels() {
    return Array.from({ length: this.count }, (_, place) => {
      const value = chosen(`rank-${place}`);
      return value === null ? null : Number(value);
    });
  }

  answer() {
    const levels = this.levels();
    if (levels.includes(null)) return { ranks: levels };
    return { ranks: levels.map((level) => 1 + levels.filter((other) => other < level).length) };
  }

  told() { return this.inWords(); }

  lacks() {
    const unranked = this.unranked();
    return unranked.length ? `Still to rank: answer ${unranked.map((place) => place + 1).join(", ")}.` : "";
  }

  unranked() { return this.levels().flatMap((level, place) => (level === null ? [place] : [])); }

  showLack() { this.cards.go(this.unranked()[0]); }

  key(event) {
    if (event.shiftKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      this.move(event.key === "ArrowUp" ? -1 : 1);
      return true;
    }
    if (this.cards.key(event)) return true;
    if (!single(event)) return false;
    const rank = Number(event.key);
    if (event.key === "Backspace" || event.key === "Delete") this.set(this.cards.current, null);
    else if (rank >= 1 && rank <= this.count) this.set(this.cards.current, rank, true);
    else return false;
    return true;
  }

  // A rank better or worse; one that has none yet begins in the last place.
  move(by) {
    const level = this.levels()[this.cards.current];
    const moved = level === null ? this.count : Math.max(1, Math.min(level + by, this.count));
    this.set(this.cards.current, moved);
  }

  // `onward`: by number keys alone one goes from answer to answer, until all have their rank.
  set(place, rank, onward = false) {
    const first = this.levels()[place] === null;
    choose(`rank-${place}`, rank);
    const unranked = this.unranked();
    const next = unranked.find((other) => other > place) ?? unranked[0];
    this.cards.go(onward && first && next !== undefined ? next : place);
    this.changed();
  }

  changed() {
    this.tell();
    this.hooks.changed();
  }

  tell() {
    const unranked = this.unranked().length;
    this.left.textContent = unranked ? `${this.count - unranked} of ${this.count} ranked.` : "All ranked.";
    this.order.textContent = this.inWords();
  }

  inWords() {
    const levels = this.levels();
    const used = [...new Set(levels.filter((level) => level !== null))].sort((a, b) => a - b);
    const groups = used.map((level) =>
      levels.flatMap((other, place) => (other === level ? [`answer ${place + 1}`] : [])).join(" = "));
    return groups.length ? `Best first: ${groups.join("  >  ")}` : "";
  }
}
