// Sorts the tables in <div class="sortable"> by a click on a heading, or by Enter on it: first descending, then ascending.
document.querySelectorAll(".sortable table").forEach((table) => {
  const headings = [...table.querySelectorAll("th")];
  const value = (row, column) => row.cells[column].textContent.trim();

  function compare(first, second) {
    const numbers = [parseFloat(first), parseFloat(second)];
    const known = numbers.map((number) => !Number.isNaN(number));
    if (known[0] && known[1]) return numbers[0] - numbers[1];
    if (known[0] !== known[1]) return known[0] ? 1 : -1;
    return second.localeCompare(first);
  }

  function sortBy(heading) {
    const column = headings.indexOf(heading);
    const descending = heading.getAttribute("aria-sort") !== "descending";
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(value(a, column), value(b, column)) * (descending ? -1 : 1));
    table.tBodies[0].append(...rows);
    headings.forEach((each) => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  headings.forEach((heading) => {
    heading.tabIndex = 0;
    heading.title = "sort";
    heading.addEventListener("click", () => sortBy(heading));
    heading.addEventListener("keydown", (event) => event.key === "Enter" && sortBy(heading));
  });
});
