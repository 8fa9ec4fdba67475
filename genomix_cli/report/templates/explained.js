// Rows open, columns sort, words filter. Without this script every row is open.
"use strict";
const table = document.querySelector(".opening table");
const body = table.tBodies[0];
const heads = [...table.tHead.rows[0].cells];
const { what } = document.querySelector(".opening").dataset;
const tools = document.querySelector(".tools");
const [search, every, status] = tools.children;
// An item is a row, and the row of its picture below.
let items = [...body.querySelectorAll("tr.item")].map((row) => ({
  row,
  detail: row.nextElementSibling,
  words: `${row.textContent} ${row.nextElementSibling.textContent}`.toLowerCase(),
}));

function open(item, opened) {
  item.detail.hidden = !opened || item.row.hidden;
  item.row.classList.toggle("open", opened);
  item.row.querySelector("a").setAttribute("aria-expanded", opened);
  // Of a picture that is wider than the screen the middle is seen, if what matters is there.
  const box = item.detail.querySelector(".pan.centred");
  if (box && !item.detail.hidden) box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
}

const isOpen = (item) => item.row.classList.contains("open");
const shown = () => items.filter((item) => !item.row.hidden);

function label() {
  const visible = shown();
  const all = visible.length > 0 && visible.every(isOpen);
  every.textContent = all ? "Close all" : "Open all";
  status.textContent = `${visible.length} of ${items.length} ${what}`;
}

function value(item, column) {
  const cell = item.row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", ""));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
}

function sort(column) {
  const numeric = items.some((item) => typeof value(item, column) === "number");
  const before = heads[column].getAttribute("aria-sort");
  // Quantities begin with the largest, words and places with the first.
  const first = numeric && column > 0 ? "descending" : "ascending";
  const other = first === "descending" ? "ascending" : "descending";
  const order = before === first ? other : first;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  items.sort((a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (numeric ? x - y : String(x).localeCompare(String(y)));
  });
  body.append(...items.flatMap((item) => [item.row, item.detail]));
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const item of items) {
    item.row.hidden = !words.every((word) => item.words.includes(word));
    open(item, isOpen(item));
  }
  label();
}

function follow() {
  const asked = items.find((item) => `#${item.detail.id}` === location.hash);
  if (asked) open(asked, true);
  label();
}

heads.forEach((head, column) => {
  head.tabIndex = 0;
  head.addEventListener("click", () => sort(column));
  head.addEventListener("keydown", (event) => {
    if (event.key === "Enter") sort(column);
  });
});
for (const item of items) {
  open(item, false);
  item.row.addEventListener("click", (event) => {
    event.preventDefault();
    if (String(getSelection())) return;
    open(item, !isOpen(item));
    label();
  });
}
every.addEventListener("click", () => {
  const opened = !shown().every(isOpen);
  shown().forEach((item) => open(item, opened));
  label();
});
search.addEventListener("input", filter);
addEventListener("hashchange", follow);
document.documentElement.classList.add("scripted");
tools.hidden = false;
follow();
