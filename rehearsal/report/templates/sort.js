"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], head = table.tHead;
  if (!head || !body || body.rows.length < 2 || body.querySelector("[rowspan], [colspan]")) continue;
  const units = { ms: 0.001, s: 1, min: 60, MiB: 1, GiB: 1024 };
  const value = (cell) => {
    const text = (cell ? cell.textContent : "").trim();
    const found = text.match(/^(?:at least )?([+−-]?[\d,]*\.?\d+)\s*(ms|s|min|MiB|GiB)?(?![\w-])/);
    return found ? [Number(found[1].replace(/,/g, "").replace("−", "-")) * (units[found[2]] ?? 1), text] : [null, text];
  };
  [...head.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => ({ row, key: value(row.cells[column]) }));
      const numbers = rows.some((one) => one.key[0] !== null);
      rows.sort((a, b) => {
        if (numbers && (a.key[0] === null || b.key[0] === null)) return (a.key[0] === null) - (b.key[0] === null);
        const order = numbers ? a.key[0] - b.key[0] : a.key[1].localeCompare(b.key[1], "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows.map((one) => one.row));
    });
  });
}
