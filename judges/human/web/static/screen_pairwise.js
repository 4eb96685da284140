// Which of two is better: a key or a button answers at once.

import { scrollPanes } from "./view.js";

const KEYS = { 1: "first", 2: "second", 3: "tie" };

export class Pairwise {
  constructor(page, hooks) {
    this.hooks = hooks;
    this.winner = null;
    this.choices = [...document.querySelectorAll("[data-winner]")];
    for (const choice of this.choices) {
      choice.addEventListener("click", () => this.choose(choice.dataset.winner));
    }
  }

  restore(answer) {
    if (Object.values(KEYS).includes(answer?.winner)) this.mark(answer.winner);
  }

  answer() { return this.winner ? { winner: this.winner } : null; }

  lacks() { return this.winner ? "" : "Choose an answer, or a tie."; }

  told() {
    return { first: "answer 1 is better", second: "answer 2 is better", tie: "a tie" }[this.winner];
  }

  key(event) {
    const winner = KEYS[event.key];
    if (winner && !event.repeat) {
      this.choose(winner);
      return true;
    }
    return event.target === document.body && scrollPanes(event.key);
  }

  choose(winner) {
    if (this.hooks.busy()) return;
    this.mark(winner);
    this.hooks.save();
  }

  mark(winner) {
    this.winner = winner;
    for (const choice of this.choices) {
      choice.setAttribute("aria-pressed", String(choice.dataset.winner === winner));
    }
  }
}
