// Several cards, one of which is at work: what keys do is done to it.

const ARROWS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };

export class Cards {
  // `arrows` are the keys that go from card to card; on tall cards up and down are left to scrolling.
  constructor(arrows) {
    this.arrows = arrows;
    this.cards = [...document.querySelectorAll(".card")];
    this.current = 0;
    this.cards.forEach((card, place) => {
      card.addEventListener("focusin", () => this.at(place));
      // A click on a radio button leaves the focus in it, where arrow keys would change what was chosen.
      card.addEventListener("click", (event) => event.detail > 0 && keepFocusOnCard(card, event));
    });
    this.at(0);
  }

  at(place) {
    this.current = place;
    this.cards.forEach((card, n) => card.toggleAttribute("data-current", n === place));
  }

  go(place) {
    const card = this.cards[Math.max(0, Math.min(place, this.cards.length - 1))];
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // True where the key went to another card.
  key(event) {
    const by = this.arrows.includes(event.key) ? ARROWS[event.key] : undefined;
    const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey);
    if (by === undefined || !plain || event.target.matches("input[type=radio]")) return false;
    // The first press goes to the card at work, if the focus is elsewhere.
    const inside = this.cards[this.current].contains(document.activeElement);
    this.go(this.current + (inside ? by : 0));
    return true;
  }
}

function keepFocusOnCard(card, event) {
  if (event.target.closest("label, input[type=radio]")) card.focus({ preventScroll: true });
}

// The value that is chosen in a group of radio buttons, as a text, or null.
export function chosen(name) {
  return document.querySelector(`input[name="${name}"]:checked`)?.value ?? null;
}

export function choose(name, value) {
  for (const input of document.querySelectorAll(`input[name="${name}"]`)) {
    input.checked = value !== null && input.value === String(value);
  }
}

export function onChoice(act) {
  document.querySelector("main").addEventListener("change", (event) => {
    if (event.target.matches("input[type=radio]")) act(event.target);
  });
}

// True for a key that is pressed alone: no modifier, no repetition.
export function single(event) {
  return !(event.ctrlKey || event.metaKey || event.altKey || event.repeat);
}
