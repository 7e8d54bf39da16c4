"use strict";
const number = (cell) => {
  const found = cell.textContent.match(/-?\d+(\.\d+)?/);
  return found ? parseFloat(found[0]) : -Infinity;
};
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
    const index = [...head.parentNode.children].indexOf(head);
    const falling = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const text = head.classList.contains("left");
    const compare = (a, b) => text
      ? b.cells[index].textContent.localeCompare(a.cells[index].textContent)
      : number(b.cells[index]) - number(a.cells[index]) || 0;
    const rows = [...body.rows].sort((a, b) => falling ? compare(a, b) : compare(b, a));
    table.classList.add("sorted");
    body.append(...rows);
  });
}
const filters = [...document.querySelectorAll("select[data-column]")];
const counter = document.getElementById("counter");
const filter = () => {
  let shown = 0;
  for (const row of document.querySelectorAll("table.figures tbody tr")) {
    row.hidden = filters.some((f) => f.value && row.cells[f.dataset.column].textContent !== f.value);
    shown += row.hidden ? 0 : 1;
  }
  counter.textContent = `${shown} rows`;
};
for (const f of filters) f.addEventListener("change", filter);
if (counter) filter();
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "selected: press Ctrl+C";
    }
  });
}
