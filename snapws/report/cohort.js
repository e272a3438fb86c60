// Sorting, filtering and decisions. Without this script, the page shows all rows in their first order.
const cases = document.querySelector(".cohort");
const rows = [...cases.tBodies[0].rows];
const find = document.querySelector("#find");
const only = document.querySelector("#only");
const shown = document.querySelector("#shown");
const key = `snapws-${cases.dataset.key}`;
let decisions = {};
try {
  decisions = JSON.parse(localStorage.getItem(key)) || {};
} catch {
  shown.value = "This browser keeps no decisions: save them before you leave.";
}
const decided = (row) => decisions[row.dataset.name] || {};
const filter = () => {
  const text = find.value.toLowerCase();
  let count = 0;
  for (const row of rows) {
    const decision = decided(row).decision || "";
    const fits = {
      "": true,
      found: Number(row.dataset.rank.split(" ")[0]) < 4,
      undecided: !decision,
    }[only.value] ?? decision === only.value;
    row.hidden = !(fits && row.textContent.toLowerCase().includes(text));
    count += !row.hidden;
  }
  shown.value = `${count} of ${rows.length} shown`;
};
const keep = (row) => {
  const [decision, note] = [row.querySelector("select").value, row.querySelector("input").value];
  decisions[row.dataset.name] = { decision, note };
  row.dataset.decision = decision;
  try {
    localStorage.setItem(key, JSON.stringify(decisions));
  } catch {
    shown.value = "This browser keeps no decisions: save them before you leave.";
  }
};
for (const row of rows) {
  const { decision = "", note = "" } = decided(row);
  row.querySelector("select").value = decision;
  row.querySelector("input").value = note;
  row.dataset.decision = decision;
  row.addEventListener("input", () => keep(row));
}
for (const head of cases.querySelectorAll("th[data-by]")) {
  head.querySelector("button").addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    for (const other of cases.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const by = head.dataset.by;
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    rows.sort((a, b) => compare(a.dataset[by], b.dataset[by]) * (falling ? -1 : 1));
    cases.tBodies[0].append(...rows);
  });
}
const cell = (text) => (text || "").replace(/[\t\r\n]+/g, " ").replace(/^[-=+@]/, "'$&");
document.querySelector("#save").addEventListener("click", () => {
  const lines = [["case", "workspace", "decision", "note"]];
  for (const row of [...rows].sort((a, b) => (a.dataset.name < b.dataset.name ? -1 : 1))) {
    const { decision, note } = decided(row);
    lines.push([row.dataset.name, row.dataset.workspace, decision, note]);
  }
  const text = lines.map((line) => `${line.map(cell).join("\t")}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  link.download = "decisions.tsv";
  link.click();
  URL.revokeObjectURL(link.href);
});
find.addEventListener("input", filter);
only.addEventListener("input", filter);
document.querySelector(".controls").hidden = false;
