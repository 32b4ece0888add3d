"""What the HTML page looks like and does: its style, and the script that draws figures and sorts tables."""

from __future__ import annotations

from dragoman.perf.contenders import BY_NAME

STYLE = """
:root { --ink:#1d2430; --dim:#667085; --line:#d9dee7; --card:#ffffff; --ground:#f4f6f9;
  --interpreter:#9aa3b2; --stencil:#56a8e0; --no-inline:#8f7fc9; --region:#1f5fb4; --cold:#e39b36; --warm:#12996b; --qemu:#c2553d;
  --unicorn:#b86bb0; --native:#3b4252;
  --part-start:#c9b458; --part-decode:#d98a4e; --part-stencil:#56a8e0; --part-promote:#8f7fc9; --part-llvm:#4b78d0; --part-native:#12996b;
  --part-calls:#c2553d; --part-devices:#b0608f; --part-waiting:#c9ced6; --part-python:#d9b13b; --part-end:#9aa3b2 }
@media (prefers-color-scheme: dark) { :root {
  --ink:#e6e9ef; --dim:#98a2b3; --line:#343b48; --card:#1b2029; --ground:#12161d;
  --interpreter:#7b8494; --stencil:#5fb2ea; --no-inline:#a394de; --region:#4b8be6; --native:#c9d1de } }
* { box-sizing:border-box }
body { margin:0 auto; max-width:1180px; padding:20px 16px 60px; background:var(--ground); color:var(--ink);
  font:15px/1.5 system-ui, sans-serif }
h1 { font-size:1.6rem; margin:.4em 0 .1em } h2 { font-size:1.2rem; margin:2em 0 .3em } h3 { font-size:1rem; margin:0 }
p { margin:.3em 0 .8em; max-width:46rem } .dim, figcaption { color:var(--dim); font-size:.87rem }
.cards { display:grid; grid-template-columns:repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap:12px; margin-bottom:12px }
.cards.wide { grid-template-columns:repeat(auto-fill, minmax(min(100%, 460px), 1fr)) }
figure { margin:0; padding:10px 12px 4px; background:var(--card); border:1px solid var(--line); border-radius:8px; min-width:0 }
figcaption { min-height:1.4em; overflow-wrap:anywhere }
.scroll { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:8px; margin-bottom:12px }
table { border-collapse:separate; border-spacing:0; width:100%; font-variant-numeric:tabular-nums; font-size:.87rem }
th, td { padding:4px 10px; text-align:right; white-space:nowrap; border-top:1px solid var(--line) }
td.text, th.text { text-align:left }
thead th { border-top:0; color:var(--dim); font-weight:600 }
th:first-child, td:first-child { text-align:left; position:sticky; left:0; background:var(--card) }
th button { all:unset; cursor:pointer } th button:focus-visible { outline:2px solid var(--region) }
th[aria-sort=ascending] button::after { content:" ▲" } th[aria-sort=descending] button::after { content:" ▼" }
td small { color:var(--dim) } .failed { color:#d0342c; font-weight:600 } .better { color:var(--warm); font-weight:600 }
dl { display:grid; grid-template-columns:max-content minmax(0, 1fr); gap:2px 14px; font-size:.87rem }
dt { color:var(--dim) } dd { margin:0; overflow-wrap:anywhere } li { overflow-wrap:anywhere }
.dot { display:inline-block; width:.7em; height:.7em; border-radius:2px; margin-right:.4em }
""" + "\n".join(f".c-{name} {{ background:var(--{name}) }}" for name in BY_NAME)

SCRIPT = """
'use strict';
const figures = JSON.parse(document.getElementById('figures').textContent);

function coloured(value, style) {
  if (typeof value === 'string') return value.startsWith('--') ? style.getPropertyValue(value).trim() : value;
  if (Array.isArray(value)) return value.map(item => coloured(item, style));
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, style)]));
  return value;
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  for (const [name, figure] of Object.entries(figures)) {
    const {data, layout} = coloured(figure, style);
    Plotly.react(name, data, layout, {displayModeBar: false, responsive: true});
  }
}

function sort(heading) {
  const body = heading.closest('table').tBodies[0], column = heading.cellIndex, first = heading.getAttribute('aria-sort') !== 'descending';
  const key = row => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v); };
  const missing = value => typeof value === 'number' ? Number.isNaN(value) : value === '';
  const order = (a, b) => typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', {numeric: true});
  const rows = [...body.rows].map(row => [key(row), row]);
  rows.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : first ? order(b, a) : order(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const other of heading.parentNode.cells) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', first ? 'descending' : 'ascending');
}

for (const button of document.querySelectorAll('th button')) button.addEventListener('click', () => sort(button.parentNode));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
draw();
document.documentElement.dataset.drawn = Object.keys(figures).length;
"""
