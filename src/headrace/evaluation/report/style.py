"""The style sheet of the HTML report: light and dark, phone and desktop, screen and paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #566173; --line: #dfe3ea; --faint: #eef1f5;
  --accent: #2f5fd0; --good: #12714a; --good-back: #e3f4ec; --bad: #b0282f; --bad-back: #fdeaea;
  --even: #3a55a4; --even-back: #e8edfb; --open: #6b5313; --open-back: #fbf2d9; --code: #f1f3f7;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #10141b; --card: #181e28; --ink: #e6eaf1; --soft: #a3aebf; --line: #2d3644; --faint: #212936;
    --accent: #8fb0ff; --good: #6fd6a6; --good-back: #14352a; --bad: #ff9c9c; --bad-back: #402024;
    --even: #a9beff; --even-back: #222d4d; --open: #ecca74; --open-back: #3a3118; --code: #111720;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.55; font-size: 16px;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.page { max-width: 1180px; margin: 0 auto; padding: 40px 24px 64px; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 16px; top: 12px; background: var(--card); padding: 8px 14px; border-radius: 6px; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 6px; }
h2 { font-size: 1.2rem; line-height: 1.3; letter-spacing: -0.01em; margin: 0 0 4px; }
h3 { font-size: 0.95rem; margin: 26px 0 8px; }
p { margin: 0 0 10px; max-width: 75ch; }
h1, h2, h3, p, td, li, dd, summary, pre, .line-text { overflow-wrap: anywhere; }
th, .label { overflow-wrap: break-word; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 22px; margin: 0; color: var(--soft); font-size: 0.9rem; }
.facts div { display: flex; gap: 6px; }
.facts dt::after { content: ":"; }
.facts dd { margin: 0; color: var(--ink); }
section, .verdict-card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
section { padding: 24px 26px; margin-top: 20px; }
.verdict-card { display: flex; gap: 18px; align-items: flex-start; padding: 22px 26px; margin-top: 24px; }
.verdict-card { border-left: 6px solid var(--tone); }
.verdict-card .mark {
  flex: none; width: 44px; height: 44px; border-radius: 50%; display: grid; place-items: center;
  background: var(--back); color: var(--tone); font-size: 1.35rem; font-weight: 700;
}
.verdict-card h2 { font-size: 1.45rem; margin-bottom: 4px; }
.verdict-card p { margin: 0; max-width: 90ch; }
.ship, .better { --tone: var(--good); --back: var(--good-back); }
.worse { --tone: var(--bad); --back: var(--bad-back); }
.keep, .equivalent, .baseline { --tone: var(--even); --back: var(--even-back); }
.undecided, .inconclusive { --tone: var(--open); --back: var(--open-back); }
.note { border-left: 3px solid var(--accent); padding: 2px 0 2px 14px; margin: 18px 0 0;
  color: var(--soft); }
.lead { color: var(--soft); font-size: 0.93rem; margin-bottom: 16px; }
.scroll { overflow-x: auto; container-type: inline-size; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 3px solid var(--accent);
  outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
caption { text-align: left; color: var(--soft); font-size: 0.85rem; padding-bottom: 8px; }
.scroll caption > span { display: block; max-width: 100cqw; }
th, td { padding: 10px 9px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; font-size: 0.8rem; border-bottom-width: 2px;
  vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 600; min-width: 9rem; }
th:first-child { padding-left: 12px; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.value { display: block; }
.small { display: block; color: var(--soft); font-size: 0.8rem; font-variant-numeric: tabular-nums; }
.chosen { background: var(--faint); box-shadow: inset 4px 0 0 var(--good); }
.chip {
  display: inline-block; white-space: nowrap; border-radius: 999px; padding: 1px 10px; font-size: 0.82rem;
  font-weight: 600; color: var(--tone); background: var(--back);
}
.forest { list-style: none; margin: 0; padding: 0; }
.forest li, .forest-axis {
  display: grid; grid-template-columns: minmax(8rem, 16rem) minmax(0, 1fr) 20.5rem; gap: 0 18px;
  align-items: center;
}
.forest .label { font-weight: 600; font-size: 0.92rem; line-height: 1.35; padding: 4px 0; }
.forest .track-cell { align-self: stretch; position: relative; min-height: 46px; }
.forest .track { position: absolute; inset: 0; height: 100%; }
.forest .reading { display: flex; gap: 4px 10px; align-items: baseline; justify-content: space-between;
  flex-wrap: wrap; }
.forest .reading { font-variant-numeric: tabular-nums; font-size: 0.86rem; }
.forest-axis > div { grid-column: 2; }
.sides { display: flex; justify-content: space-between; color: var(--soft); font-size: 0.8rem; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: 0.85rem; margin-top: 8px; max-width: 75ch; }
svg { display: block; overflow: visible; font-family: inherit; }
svg .zero { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 3 3; }
svg .margin { fill: var(--even-back); }
svg .whisker { stroke: var(--tone, var(--soft)); stroke-width: 2.5; }
svg .dot { fill: var(--tone, var(--accent)); stroke: var(--card); stroke-width: 1.5; }
svg .tick, svg .base { stroke: var(--soft); }
svg .leader { stroke: var(--soft); }
svg .grid { stroke: var(--faint); }
svg text { fill: var(--ink); font-size: 12px; }
svg .tick-text, svg .axis-text { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .name { font-size: 12.5px; font-weight: 600; paint-order: stroke; stroke: var(--card);
  stroke-width: 4px; }
.scatter .whisker { stroke: var(--soft); stroke-width: 1.5; opacity: 0.6; }
.scatter .efficient { fill: var(--accent); }
.scatter .dominated { fill: var(--card); stroke: var(--accent); stroke-width: 2; }
.plain { margin: 8px 0 0; padding-left: 20px; }
.plain li { margin-bottom: 6px; max-width: 85ch; }
details { border-top: 1px solid var(--line); padding: 10px 0; }
details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; font-size: 0.95rem; }
summary .id { font-weight: 600; margin-right: 8px; }
summary .start { color: var(--soft); }
.line-text { white-space: pre-wrap; background: var(--code); border-radius: 8px; padding: 10px 14px;
  margin: 10px 0; }
.line-text, .answer { font-size: 0.88rem; max-width: none; }
.answer { white-space: pre-wrap; }
.error { color: var(--bad); font-weight: 600; }
pre {
  background: var(--code); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px;
  margin: 8px 0 14px;
  white-space: pre-wrap; font: 0.86rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
footer { color: var(--soft); font-size: 0.82rem; margin-top: 24px; }
@media (max-width: 760px) {
  .page { padding: 22px 14px 40px; }
  h1 { font-size: 1.4rem; }
  section { padding: 18px 16px; margin-top: 14px; }
  .verdict-card { padding: 18px 16px; gap: 12px; }
  .verdict-card h2 { font-size: 1.2rem; }
  .verdict-card .mark { width: 34px; height: 34px; font-size: 1.1rem; }
  .forest li { grid-template-columns: minmax(0, 1fr); padding: 12px 0 0; }
  .forest .reading { justify-content: flex-start; order: 2; }
  .forest li > .track-cell { order: 3; }
  .board .value, .board td .small { display: inline-block; margin-right: 6px; white-space: nowrap; }
  .forest-axis { grid-template-columns: minmax(0, 1fr); }
  .forest-axis > div { grid-column: 1; }
  .board thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .board, .board caption, .board tbody { display: block; }
  .board tr {
    display: grid; grid-template-columns: 1fr 1fr; gap: 10px 16px; padding: 14px 12px;
    border: 1px solid var(--line);
    border-radius: 10px; margin-bottom: 10px;
  }
  .board tbody th, .board td { display: block; padding: 0; border: 0; text-align: left;
    white-space: normal; }
  .board tbody th { grid-column: 1 / -1; font-size: 1rem; }
  .board td::before { content: attr(data-label); display: block; color: var(--soft); font-size: 0.75rem; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; }
  body { font-size: 11pt; }
  .page { max-width: none; padding: 0; }
  section, .verdict-card { border-color: #bbb; break-inside: auto; }
  tr, li, figure, .verdict-card { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .skip { display: none; }
}
"""
