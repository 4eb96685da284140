
"use strict";
// Texts of answers and judges are hostile: they only ever become text nodes.
const all = JSON.parse(document.getElementById("data").textContent);
const PAGE = 10;
let page = 0;
const filters = {
  "all": () => true,
  "verdicts disagree": (one) => one.disagrees,
  "first system won": (one) => one.verdicts.some((v) => v.winner === "first"),
  "second system won": (one) => one.verdicts.some((v) => v.winner === "second"),
  "tie": (one) => one.verdicts.some((v) => v.winner === "tie"),
  "a verdict is missing": (one) => one.verdicts.some((v) => v.winner === ""),
};
const byId = (id) => document.getElementById(id);
const element = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};
const pairOf = (one) => one.first_system + " against " + one.second_system;

function options(select, names) {
  for (const name of names) {
    const option = element("option", "", name);
    option.value = name;
    select.append(option);
  }
}

function verdictLine(one, verdict) {
  const line = element("li");
  const who = [verdict.judge || "judge", verdict.axis].filter(Boolean).join(", ");
  line.append(element("span", "by", who + ": "));
  if (verdict.winner === "") {
    line.append(element("span", "missing", "no verdict (" + verdict.reason + ")"));
  } else {
    const better = verdict.winner === "first" ? one.first_system : one.second_system;
    line.append(element("span", "mark", verdict.winner === "tie" ? "tie" : better + " is better"));
  }
  if (verdict.preference !== null) {
    line.append(" (" + one.first_system + " with probability " + verdict.preference.toFixed(2) + ")");
  }
  if (verdict.shown_first) line.append(element("span", "by", " shown first: " + verdict.shown_first));
  if (verdict.reply) {
    const more = element("details");
    more.append(element("summary", "", "what the judge wrote"), element("p", "text", verdict.reply));
    line.append(more);
  }
  return line;
}

function side(one, place) {
  const box = element("div");
  const system = one[place + "_system"];
  const characters = one[place + "_characters"].toLocaleString("en");
  const winners = new Set(one.verdicts.map((v) => v.winner).filter(Boolean));
  const won = winners.size === 1 && winners.has(place);
  box.append(element("p", "by", system + ", " + characters + " characters"));
  box.append(element("p", won ? "text won" : "text", one[place]));
  return box;
}

function card(one) {
  const section = element("section");
  const title = element("h3", "", one.id ? "Comparison " + one.id : "Comparison");
  if (one.disagrees) title.append(element("span", "flag", "verdicts disagree"));
  const sides = element("div", "sides");
  sides.append(side(one, "first"), side(one, "second"));
  const verdicts = element("ul", "verdicts");
  for (const verdict of one.verdicts) verdicts.append(verdictLine(one, verdict));
  section.append(title, element("p", "by", "prompt"), element("p", "text", one.prompt), sides, verdicts);
  return section;
}

function show() {
  const wanted = filters[byId("filter").value];
  const pair = byId("systems").value;
  const words = byId("search").value.toLowerCase();
  const found = all.filter((one) => wanted(one) && (pair === "all systems" || pairOf(one) === pair)
    && (!words || [one.prompt, one.first, one.second, one.id].some((text) => text.toLowerCase().includes(words))));
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  byId("place").textContent = found.length.toLocaleString("en") + " found, page " + (page + 1) + " of " + pages;
  byId("previous").disabled = page === 0;
  byId("next").disabled = page === pages - 1;
  byId("list").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
}

options(byId("filter"), Object.keys(filters));
options(byId("systems"), ["all systems", ...new Set(all.map(pairOf))]);
byId("systems").hidden = byId("systems").options.length < 3;
for (const id of ["filter", "systems", "search"]) {
  byId(id).addEventListener("input", () => { page = 0; show(); });
}
byId("previous").addEventListener("click", () => { page -= 1; show(); });
byId("next").addEventListener("click", () => { page += 1; show(); });
show();
