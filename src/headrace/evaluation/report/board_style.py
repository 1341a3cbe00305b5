"""What the HTML report of a comparison adds to the style sheet that all pages share."""

from __future__ import annotations

BOARD_STYLE = """
:root { --c0: #ffffff; --c1: #edf3fc; --c2: #d5e3f8; --c3: #b3cdf3; --c4: #8fb5eb;
  --ins: #d9f2e4; --del: #fbdfe0; }
@media screen and (prefers-color-scheme: dark) {
  :root { --c0: #181e28; --c1: #1d2a40; --c2: #223757; --c3: #28456f; --c4: #2f5488;
    --ins: #174634; --del: #552a2f; }
}
html { scroll-padding-top: 56px; }
body { font-size: 15px; line-height: 1.5; }
.page { max-width: 1320px; padding: 28px 28px 64px; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.12rem; margin-bottom: 6px; }
h4 { font-size: 0.8rem; font-weight: 600; color: var(--soft); margin: 12px 0 4px; }
section { padding: 20px 24px; margin-top: 16px; border-radius: 10px; }
.lead { font-size: 0.88rem; max-width: 100ch; }
a { color: var(--accent); text-underline-offset: 2px; }
.contents { position: sticky; top: 0; z-index: 3; background: var(--page); margin: 14px 0 0; padding: 8px 0;
  border-bottom: 1px solid var(--line); }
.contents ul { display: flex; gap: 4px 18px; margin: 0; padding: 0; list-style: none; overflow-x: auto;
  scrollbar-width: none; }
.contents a { color: var(--soft); font-size: 0.84rem; text-decoration: none; white-space: nowrap; padding: 4px 0;
  display: inline-block; }
.contents a:hover { color: var(--ink); text-decoration: underline; }
.contents a:focus-visible { outline-offset: -2px; }
.verdict-card { border-radius: 10px; margin-top: 16px; }
.verdict-text { min-width: 0; flex: 1; }
.verdict-card p { font-size: 0.98rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, max-content)); gap: 14px 34px;
  margin: 18px 0 0; }
.figures dt { color: var(--soft); font-size: 0.78rem; }
.figures dd { margin: 0; font-size: 1.3rem; font-weight: 600; line-height: 1.3; letter-spacing: -0.01em;
  font-variant-numeric: tabular-nums; }
.figures .small { font-weight: 400; letter-spacing: 0; font-size: 0.78rem; }
table { font-size: 0.87rem; }
table + table, .scroll + .scroll, .scroll + details { margin-top: 18px; }
caption { max-width: 110ch; caption-side: top; }
th, td { padding: 7px 7px; }
th .small { font-weight: 400; }
.narrow { width: auto; }
.narrow th, .narrow td { padding-right: 22px; }
thead th, thead th.number { font-size: 0.77rem; white-space: normal; }
tbody th { min-width: 9rem; max-width: 17rem; }
td.wide { min-width: 12rem; }
td.plot { min-width: 170px; padding-left: 4px; padding-right: 4px; }
.track-cell { position: relative; height: 40px; }
.track-cell .track { position: absolute; inset: 0; height: 100%; }
tfoot td { border: 0; padding-top: 0; }
tfoot .sides { font-size: 0.75rem; }
.tone { color: var(--tone); }
.chip { font-size: 0.79rem; padding: 1px 9px; }
.value { font-size: 0.92rem; }
.number .small { white-space: nowrap; }
.reasons { list-style: none; padding-left: 0; columns: 2 440px; column-gap: 40px; }
.reasons li { break-inside: avoid; max-width: 110ch; padding: 8px 0; margin: 0; font-size: 0.9rem;
  border-bottom: 1px solid var(--faint); }
.reasons .more { display: block; color: var(--soft); font-size: 0.82rem; margin-top: 2px; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 18px 34px;
  margin: 10px 0 12px; }
.panels figcaption { margin: 0 0 4px; font-weight: 600; color: var(--ink); }
.panels + .lead { margin-bottom: 0; }
svg .front { stroke: var(--accent); stroke-width: 1.5; opacity: 0.55; }
.heat-cell { display: inline-block; min-width: 84px; text-align: center; padding: 8px 10px; border-radius: 6px;
  font-variant-numeric: tabular-nums; }
.c0 { background: var(--c0); } .c1 { background: var(--c1); } .c2 { background: var(--c2); }
.c3 { background: var(--c3); } .c4 { background: var(--c4); }
.heat-cell.c0 { box-shadow: inset 0 0 0 1px var(--line); }
.flips { display: grid; grid-template-columns: minmax(0, 400px) minmax(0, 1fr); gap: 12px 36px; align-items: start; }
svg.flip { width: 100%; max-width: 400px; height: auto; }
.flip circle { fill-opacity: 0.55; stroke-width: 1.5; }
.flip .won { fill: var(--good); stroke: var(--good); } .flip .lost { fill: var(--bad); stroke: var(--bad); }
.flip .tied { fill: var(--soft); stroke: var(--soft); fill-opacity: 0.3; }
#flip-lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 0 28px; }
#flip-lists h3 { margin-top: 8px; }
#flip-lists > p { grid-column: 1 / -1; }
.flip-list { margin: 0 0 8px; padding-left: 22px; font-size: 0.88rem; }
.flip-list .start { list-style: none; }
.small-inline { color: var(--soft); font-size: 0.82rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.loss { display: inline-block; margin-right: 16px; }
.toolbar { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin: 4px 0 12px; font-size: 0.84rem; }
.toolbar[hidden], tr[hidden], details[hidden] { display: none; }
.toolbar label { display: inline-flex; gap: 6px; align-items: center; color: var(--soft); }
.buttons { display: inline-flex; flex-wrap: wrap; border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.buttons button { border: 0; background: var(--card); color: var(--ink); font: inherit; padding: 6px 12px;
  cursor: pointer; border-right: 1px solid var(--line); }
.buttons button:last-child { border-right: 0; }
.buttons button[aria-pressed=true] { background: var(--accent); color: var(--card); font-weight: 600; }
.toolbar select, .toolbar input { font: inherit; color: var(--ink); background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; padding: 5px 8px; max-width: 15rem; }
.toolbar :focus-visible { outline: 3px solid var(--accent); outline-offset: -1px; }
.count { color: var(--soft); font-variant-numeric: tabular-nums; }
.matrix-frame { max-height: 560px; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
.matrix { font-size: 0.8rem; border-collapse: separate; border-spacing: 0; width: 100%; }
.matrix caption { padding: 8px 10px; }
.matrix th, .matrix td { padding: 4px 8px; border: 0; border-bottom: 1px solid var(--faint); }
.matrix td { text-align: center; font-variant-numeric: tabular-nums; min-width: 42px; white-space: nowrap;
  border-left: 1px solid var(--card); }
.matrix .x { color: var(--bad); font-weight: 700; }
.matrix thead th { position: sticky; top: 0; background: var(--card); z-index: 1; vertical-align: bottom;
  border-bottom: 1px solid var(--line); }
.matrix thead th span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 200px; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; margin: 0 auto; display: block; font-weight: 600; }
.matrix tbody th { font-weight: 600; min-width: 9rem; max-width: 26rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; position: sticky; left: 0; background: var(--card); }
.start { color: var(--soft); font-weight: 400; }
.matrix .start { margin-left: 6px; }
.answers { border-bottom: 1px solid var(--line); }
.answers details { content-visibility: auto; contain-intrinsic-size: auto 44px; }
.answers details:last-of-type { border-bottom: 0; }
details[open] > summary { margin-bottom: 4px; }
.line-text, .answer { font-size: 0.85rem; }
.line-text { margin: 0 0 4px; padding: 8px 12px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 12px;
  margin: 12px 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; min-width: 0; overflow-wrap: anywhere; }
.card ul { list-style: none; margin: 0 0 8px; padding: 0 0 8px; border-bottom: 1px solid var(--faint);
  font-size: 0.82rem; font-weight: 600; }
.card .scores { font-weight: 400; color: var(--soft); font-variant-numeric: tabular-nums; display: block; }
.card .scores b { color: var(--ink); }
.card .why { border: 0; border-top: 1px solid var(--faint); margin: 8px 0 0; padding: 8px 0 0; font-weight: 400;
  color: var(--soft); }
.diff { border: 1px solid var(--line); border-radius: 8px; padding: 2px 12px 10px; margin: 12px 0 0; }
.diff-text { white-space: pre-wrap; font-size: 0.86rem; margin: 0; max-width: none; }
ins { background: var(--ins); text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: 3px; }
del { background: var(--del); text-decoration: line-through; }
.where { font-size: 0.82rem; color: var(--soft); }
code { font: 0.86em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
svg.graph { display: block; margin: 4px 0 14px; overflow: visible; }
.graph .edge { fill: none; stroke: var(--soft); stroke-width: 1.5; }
.graph .node { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }
svg .node-name { font-size: 13px; font-weight: 600; }
svg .node-kind { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.graph .bar-back { fill: var(--faint); } .graph .bar { fill: var(--accent); }
#runs-table td, #runs-table th { white-space: nowrap; }
@media (max-width: 760px) {
  .page { padding: 16px 12px 40px; }
  h1 { font-size: 1.3rem; }
  section { padding: 16px 14px; }
  .verdict-card { flex-direction: column; }
  .figures { grid-template-columns: 1fr 1fr; gap: 12px 20px; }
  .figures dd { font-size: 1.15rem; }
  .board tr { padding: 12px; }
  .board tbody th { min-width: 0; max-width: none; }
  .board td.plot { grid-column: 1 / -1; }
  .board tfoot { display: none; }
  .board .heat-cell { min-width: 64px; }
  .flips { grid-template-columns: minmax(0, 1fr); }
  .matrix tbody th { max-width: 9rem; min-width: 7rem; }
  .toolbar label { flex: 1 1 40%; flex-direction: column; align-items: stretch; gap: 2px; }
  .toolbar select, .toolbar input { max-width: none; width: 100%; }
  .buttons { width: 100%; }
  .buttons button { flex: 1 1 auto; }
}
@media print {
  .contents, .toolbar, .where { display: none; }
  .matrix-frame { max-height: none; overflow: visible; }
  .matrix thead th, .matrix tbody th { position: static; }
  .scroll { overflow: visible; }
  table, .value, .chip, .matrix { font-size: 7.5pt; }
  caption, thead th, thead th.number, .small, .number .small { font-size: 6.5pt; }
  th, td, .matrix th, .matrix td { padding: 3px 3px; }
  tbody th, .matrix tbody th { min-width: 0; max-width: 8.5rem; white-space: normal; }
  .number, .number .small, .small-inline { white-space: normal; }
  td { overflow-wrap: normal; }
  .value { white-space: nowrap; }
  section { padding: 12px 10px; }
  td.plot { min-width: 84px; }
  td.wide { min-width: 0; }
  .matrix td { min-width: 0; }
  .chip { padding: 0 4px; }
  svg.graph { max-width: 100%; }
  .answers details { content-visibility: visible; break-inside: avoid; }
  .c1, .c2, .c3, .c4, .chip, ins, del, .node, .bar { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
