// Fetches the figures again from time to time, while the page is in view, and puts them in place of the old
// ones without moving what is read: focus and scrolling stay.
const EVERY = 5000;
const LONGEST = 60000;

const numbers = document.getElementById("numbers");
const trouble = document.getElementById("trouble");
let timer = 0;
let asking = false;
let wait = EVERY;
let shown = "";

function say(text) {
  if (trouble.textContent !== text) trouble.textContent = text;
  trouble.hidden = text === "";
}

function replace(text) {
  if (text === shown) return;
  shown = text;
  const focused = numbers.contains(document.activeElement) ? document.activeElement.id : "";
  const [x, y] = [window.scrollX, window.scrollY];
  const parsed = new DOMParser().parseFromString(text, "text/html");
  numbers.replaceChildren(...parsed.body.childNodes);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  window.scrollTo(x, y);
  tellTime();
}

function tellTime() {
  // The server tells UTC; whoever reads it lives by another clock.
  const time = numbers.querySelector("time");
  if (time) time.textContent = new Date(time.dateTime).toLocaleTimeString();
}

async function fetchAgain() {
  timer = 0;
  if (asking) return;
  asking = true;
  try {
    const reply = await fetch("/admin/numbers", { credentials: "same-origin", cache: "no-store" });
    if (reply.status === 401) {
      say("You are signed out: the server was started again. Use the link that it printed then.");
      return;
    }
    if (!reply.ok) throw new Error(String(reply.status));
    replace(await reply.text());
    say("");
    wait = EVERY;
  } catch {
    say("The server does not answer; these are the figures that it gave last. Trying again.");
    wait = Math.min(2 * wait, LONGEST);
  } finally {
    asking = false;
  }
  plan();
}

function plan() {
  if (timer === 0 && !document.hidden) timer = window.setTimeout(fetchAgain, wait);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    window.clearTimeout(timer);
    timer = 0;
  } else if (timer === 0) {
    fetchAgain();
  }
});

tellTime();
plan();
