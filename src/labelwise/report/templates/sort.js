for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const text = head.classList.contains("name");
      const now = head.getAttribute("aria-sort");
      const up = now ? now === "descending" : text;
      const key = (row) => row.cells[column].dataset.sort;
      const rows = [...body.rows].sort((a, b) =>
        text ? key(a).localeCompare(key(b), undefined, { numeric: true }) : key(a) - key(b));
      if (!up) rows.reverse();
      body.append(...rows);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
}
