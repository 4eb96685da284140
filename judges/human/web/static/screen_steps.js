// How good each step is, up to the first that is wrong.

import { Cards, choose, chosen, onChoice, single } from "./cards.js";

const KEYS = { p: "positive", 1: "positive", n: "neutral", 2: "neutral", x: "negative", 3: "negative" };

export class Steps {
  constructor(page, hooks) {
    this.hooks = hooks;
    this.count = page.steps;
    this.cards = new Cards(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
    this.left = document.getElementById("left");
    onChoice(() => this.changed());
    this.tell();
  }

  restore(answer) {
    const labels = Array.isArray(answer?.labels) ? answer.labels : [];
    for (let place = 0; place < this.count; place += 1) choose(`step-${place}`, labels[place] ?? null);
    this.tell();
  }

  chosen() { return Array.from({ length: this.count }, (_, place) => chosen(`step-${place}`)); }

  // The number of steps that are asked about: all up to the first wrong one.
  asked() {
    const wrong = this.chosen().indexOf("negative");
    return wrong < 0 ? this.count : wrong + 1;
  }

  answer() {
    const asked = this.asked();
    return { labels: this.chosen().map((label, place) => (place < asked ? label : null)) };
  }

  told() {
    const wrong = this.chosen().indexOf("negative");
    return wrong < 0 ? "no step is wrong" : `step ${wrong + 1} is the first wrong one`;
  }

  open() { return this.answer().labels.slice(0, this.asked()).indexOf(null); }

  lacks() {
    const open = this.open();
    return open < 0 ? "" : `Step ${open + 1} has no label yet.`;
  }

  showLack() { this.cards.go(this.open()); }

  key(event) {
    if (this.cards.key(event)) return true;
    if (!single(event)) return false;
    const place = this.cards.current;
    if (place >= this.asked()) return false;
    if (event.key === "Backspace" || event.key === "Delete") {
      choose(`step-${place}`, null);
      this.cards.go(place);
    } else {
      const label = KEYS[event.key.toLowerCase()];
      if (!label) return false;
      choose(`step-${place}`, label);
      this.cards.go(label === "negative" ? place : place + 1);
    }
    this.changed();
    return true;
  }

  changed() {
    this.tell();
    this.hooks.changed();
  }

  // Later steps are greyed and keep what was said of them, should the wrong one turn out right.
  tell() {
    const asked = this.asked();
    const labels = this.chosen();
    this.cards.cards.forEach((card, place) => {
      card.toggleAttribute("data-behind", place >= asked);
      card.dataset.label = (place < asked && labels[place]) || "";
      card.querySelector("fieldset").disabled = place >= asked;
    });
    const labelled = this.answer().labels.filter((label) => label !== null).length;
    const wrong = labels.indexOf("negative");
    this.left.textContent = wrong < 0
      ? `${labelled} of ${this.count} steps labelled.`
      : `Step ${wrong + 1} is wrong: the steps behind it are not asked.`;
  }
}
