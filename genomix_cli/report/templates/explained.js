// Rows open, columns sort, words filter. Without this script every row is open.
"use strict";
const table = document.querySelector("#alleles table");
const body = table.tBodies[0];
const heads = [...table.tHead.rows[0].cells];
const tools = document.querySelector(".tools");
const [search, every, status] = tools.children;
// An allele is a row, and the row of its picture below.
let alleles = [...body.querySelectorAll("tr.allele")].map((row) => ({
  row,
  detail: row.nextElementSibling,
  words: `${row.textContent} ${row.nextElementSibling.textContent}`.toLowerCase(),
}));

function open(allele, opened) {
  allele.detail.hidden = !opened || allele.row.hidden;
  allele.row.classList.toggle("open", opened);
  allele.row.querySelector("a").setAttribute("aria-expanded", opened);
  // Of a picture that is wider than the screen the middle is seen, where the allele is.
  const box = allele.detail.querySelector(".pan");
  if (!allele.detail.hidden) box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
}

const isOpen = (allele) => allele.row.classList.contains("open");
const shown = () => alleles.filter((allele) => !allele.row.hidden);

function label() {
  const visible = shown();
  const all = visible.length > 0 && visible.every(isOpen);
  every.textContent = all ? "Close all" : "Open all";
  status.textContent = `${visible.length} of ${alleles.length} alleles`;
}

function value(allele, column) {
  const cell = allele.row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", ""));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
}

function sort(column) {
  const numeric = alleles.some((allele) => typeof value(allele, column) === "number");
  const before = heads[column].getAttribute("aria-sort");
  // Quantities begin with the largest, words and places with the first.
  const first = numeric && column > 0 ? "descending" : "ascending";
  const other = first === "descending" ? "ascending" : "descending";
  const order = before === first ? other : first;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  alleles.sort((a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (numeric ? x - y : String(x).localeCompare(String(y)));
  });
  body.append(...alleles.flatMap((allele) => [allele.row, allele.detail]));
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const allele of alleles) {
    allele.row.hidden = !words.every((word) => allele.words.includes(word));
    open(allele, isOpen(allele));
  }
  label();
}

function follow() {
  const asked = alleles.find((allele) => `#${allele.detail.id}` === location.hash);
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
for (const allele of alleles) {
  open(allele, false);
  allele.row.addEventListener("click", (event) => {
    event.preventDefault();
    if (String(getSelection())) return;
    open(allele, !isOpen(allele));
    label();
  });
}
every.addEventListener("click", () => {
  const opened = !shown().every(isOpen);
  shown().forEach((allele) => open(allele, opened));
  label();
});
search.addEventListener("input", filter);
addEventListener("hashchange", follow);
document.documentElement.classList.add("scripted");
tools.hidden = false;
follow();
