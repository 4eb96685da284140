// The best of several, and how good each is.

import { Cards, choose, chosen, onChoice, single } from "./cards.js";

const HIGHEST = 5;

export class Best {
  constructor(page, hooks) {
    this.hooks = hooks;
    this.count = page.count;
    this.cards = new Cards(["ArrowLeft", "ArrowRight"]);
    this.left = document.getElementById("left");
    onChoice(() => this.changed());
    this.tell();
  }

  restore(answer) {
    const ratings = Array.isArray(answer?.ratings) ? answer.ratings : [];
    for (let place = 0; place < this.count; place += 1) choose(`rating-${place}`, ratings[place] ?? null);
    choose("best", answer?.best ?? null);
    this.tell();
  }

  ratings() {
    return Array.from({ length: this.count }, (_, place) => number(chosen(`rating-${place}`)));
  }

  answer() { return { best: number(chosen("best")), ratings: this.ratings() }; }

  told() { return `answer ${this.answer().best + 1} is the best`; }

  lacks() {
    const { best, ratings } = this.answer();
    const unrated = ratings.flatMap((rating, place) => (rating === null ? [place + 1] : []));
    const parts = [];
    if (unrated.length) parts.push(`the quality of answer ${unrated.join(", ")}`);
    if (best === null) parts.push("which is the best");
    return parts.length ? `Still to say: ${parts.join(", and ")}.` : "";
  }

  showLack() {
    const unrated = this.ratings().indexOf(null);
    if (unrated >= 0) this.cards.go(unrated);
  }

  key(event) {
    if (this.cards.key(event)) return true;
    if (!single(event)) return false;
    const place = this.cards.current;
    const rating = Number(event.key);
    if (rating >= 1 && rating <= HIGHEST) choose(`rating-${place}`, rating);
    else if (event.key.toLowerCase() === "b") choose("best", place);
    else return false;
    this.cards.go(place);
    this.changed();
    return true;
  }

  changed() {
    this.tell();
    this.hooks.changed();
  }

  tell() {
    const { best, ratings } = this.answer();
    const rated = ratings.filter((rating) => rating !== null).length;
    const chosenBest = best === null ? "no best yet" : `answer ${best + 1} is the best`;
    this.left.textContent = `${rated} of ${this.count} rated, ${chosenBest}.`;
    this.cards.cards.forEach((card, place) => card.toggleAttribute("data-best", place === best));
  }
}

function number(value) { return value === null ? null : Number(value); }
