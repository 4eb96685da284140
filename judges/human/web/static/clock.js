// Seconds that a person has spent on the page: while it is in view, and no longer than a minute after the
// last sign of life.

const IDLE = 60_000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchmove", "scroll"];

export class Clock {
  constructor(already) {
    this.total = Number.isFinite(already) && already > 0 ? already * 1000 : 0;
    this.alive = this.last = performance.now();
    for (const sign of SIGNS) {
      window.addEventListener(sign, () => this.sign(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => this.count(document.hidden));
    setInterval(() => this.count(!document.hidden), 1000);
  }

  sign() {
    this.count(!document.hidden);
    this.alive = performance.now();
  }

  // Add what has passed since the last count; `inView` says whether it passed in view.
  count(inView) {
    const now = performance.now();
    if (inView) this.total += Math.max(Math.min(now, this.alive + IDLE) - this.last, 0);
    this.last = now;
  }

  seconds() {
    this.count(!document.hidden);
    return Math.round(this.total / 100) / 10;
  }
}
