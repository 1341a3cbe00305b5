"""The style sheet of the pages of a served flow: light and dark, phone and desktop."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #566173; --line: #c9d0da; --faint: #eef1f5;
  --accent: #2f5fd0; --on-accent: #ffffff; --bad: #9d2027; --bad-back: #fdeaea; --mine: #e4ecfd; --code: #f1f3f7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141b; --card: #181e28; --ink: #e6eaf1; --soft: #a3aebf; --line: #3b4657; --faint: #212936;
    --accent: #8fb0ff; --on-accent: #0c1220; --bad: #ffb0b0; --bad-back: #402024; --mine: #22304f; --code: #111720;
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.55; font-size: 16px; min-height: 100vh;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.page { max-width: 820px; margin: 0 auto; padding: 32px 20px 40px; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 16px; top: 12px; background: var(--card); padding: 8px 14px; border-radius: 6px; }
h1 { font-size: 1.6rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 0 0 10px; }
h1, h2, p, dt, dd, li, summary, label, .text { overflow-wrap: anywhere; }
a { color: var(--accent); }
p { margin: 0 0 10px; }
.facts, .hint, .from { color: var(--soft); font-size: 0.88rem; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0 0 20px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px;
  margin-top: 16px; }
.field { margin-bottom: 16px; }
.field label, .label { display: block; font-weight: 600; }
.field .hint { margin: 0 0 4px; }
.check { display: flex; gap: 10px; align-items: baseline; }
textarea, input[type=number], input[type=password], input[type=file] {
  width: 100%; font: inherit; color: var(--ink); background: var(--page); padding: 9px 11px;
  border: 1px solid var(--soft); border-radius: 8px;
}
textarea { display: block; resize: vertical; field-sizing: content; min-height: 2.7em; max-height: 40vh; }
textarea.json { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.9rem; }
input[type=checkbox] { width: 1.1em; height: 1.1em; accent-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.buttons { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; margin-top: 12px; }
button {
  font: inherit; font-weight: 600; padding: 8px 18px; border-radius: 8px; cursor: pointer; min-height: 42px;
  color: var(--ink); background: var(--faint); border: 1px solid var(--soft);
}
button.main { color: var(--on-accent); background: var(--accent); border-color: var(--accent); }
button:disabled { cursor: default; background: var(--faint); color: var(--soft); border-color: var(--line); }
button.small { font-size: 0.85rem; font-weight: 500; padding: 3px 10px; min-height: 30px; }
button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
details > .field:first-of-type { margin-top: 12px; }
#status { min-height: 1.55em; margin: 10px 0 0; color: var(--soft); font-size: 0.9rem; }
#log { list-style: none; margin: 0; padding: 0; }
#log li { border: 1px solid var(--line); border-radius: 12px; padding: 12px 16px; margin: 12px 0;
  background: var(--card); }
#log li.mine { background: var(--mine); margin-left: min(12%, 80px); }
#log li.answer { margin-right: min(6%, 40px); }
.who { font-size: 0.82rem; font-weight: 600; color: var(--soft); margin: 0; }
.mine .who, .mine .from { color: var(--ink); }
.text { white-space: pre-wrap; margin: 2px 0; }
pre { background: var(--code); border-radius: 8px; padding: 10px 12px; margin: 6px 0; overflow-x: auto;
  font-size: 0.87rem; white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; max-height: 420px; border-radius: 8px; display: block; margin: 6px 0;
  border: 1px solid var(--line); }
.thumb { max-height: 120px; }
dl { margin: 0; }
dt { font-weight: 600; margin-top: 12px; }
dd { margin: 0; }
.fault { background: var(--bad-back); color: var(--bad); border: 1px solid var(--bad); border-radius: 12px;
  padding: 14px 18px; margin-top: 16px; }
.fault p { margin: 0; overflow-wrap: anywhere; }
.fault .text { color: inherit; }
ul.flows { padding-left: 1.2em; margin: 0; }
@media (max-width: 520px) { .page { padding: 20px 12px 32px; } .card { padding: 16px 14px; } }
@media (prefers-reduced-motion: no-preference) { button { transition: background-color 0.12s; } }
"""
