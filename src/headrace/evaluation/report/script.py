"""The only script of the HTML report: filters, word differences and the plot of two arms.

The page can be read without it. It loads nothing, stores nothing, and writes texts as texts, never as HTML.
"""

from __future__ import annotations

SCRIPT = r"""
'use strict';
(() => {
const at = id => document.getElementById(id);
const holder = at('data');
if (!holder) return;
const data = JSON.parse(holder.textContent);
const rows = [...document.querySelectorAll('#matrix tbody tr')];
const lines = [...document.querySelectorAll('details.line')];
const lineOfRow = rows.map(row => {
  const link = row.querySelector('a');
  return link ? document.querySelector(link.getAttribute('href')) : null;
});
const searched = rows.map((row, i) =>
  (row.cells[0].textContent + ' ' + (lineOfRow[i] ? lineOfRow[i].textContent : '')).toLowerCase());
const sets = data.metrics.map(metric => new Set(metric.disputed));
const failed = data.failed.map(list => new Set(list));
const unscored = data.unscored.map(list => new Set(list));
const SAME = 1e-9, STEPS = 100, START = 66, END = 336, SIZE = 360, MAX_FLIPS = 8;
let kind = 'all';
const chosen = () => ({
  metric: data.metrics[at('pick-metric').selectedIndex],
  m: at('pick-metric').selectedIndex,
  a: at('pick-a').selectedIndex,
  b: at('pick-b').selectedIndex,
});
const count = n => n === 1 ? '1 line' : n + ' lines';
const short = value => Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));

function keeps(row, pick) {
  const scores = pick.metric.scores, sign = pick.metric.higher ? 1 : -1;
  const a = scores[pick.a][row], b = scores[pick.b][row];
  if (kind === 'different') {
    const known = scores.map(list => list[row]).filter(value => value !== null && value !== undefined);
    const someFail = failed.some(set => set.has(row)) && !failed.every(set => set.has(row));
    return someFail || Math.max(...known) - Math.min(...known) > SAME;
  }
  if (kind === 'regressed') {
    if (failed[pick.b].has(row) && !failed[pick.a].has(row)) return true;
    return typeof a === 'number' && typeof b === 'number' && sign * (b - a) < -SAME;
  }
  if (kind === 'disputed') return sets.some(set => set.has(row));
  if (kind === 'errors') return failed.some(set => set.has(row)) || unscored.some(set => set.has(row));
  return true;
}

function filter() {
  const pick = chosen(), text = at('search').value.trim().toLowerCase();
  const wanted = data.slices.map((_, i) => at('pick-slice-' + i).value);
  let count = 0;
  const hidden = new Set();
  rows.forEach((row, i) => {
    const stays = keeps(i, pick) && (!text || searched[i].includes(text)) &&
      wanted.every((value, s) => !value || data.slices[s][i] === value);
    row.hidden = !stays;
    count += stays;
    if (!stays && lineOfRow[i]) hidden.add(lineOfRow[i]);
  });
  lines.forEach(line => { line.hidden = hidden.has(line); });
  at('count').textContent = count + ' of ' + rows.length + ' lines';
}

function paint() {
  const {metric} = chosen(), [low, high] = metric.range;
  at('matrix-metric').textContent = metric.name;
  rows.forEach((row, i) => data.arms.forEach((_, arm) => {
    const cell = row.cells[arm + 1], value = metric.scores[arm][i];
    if (failed[arm].has(i)) return;
    if (typeof value !== 'number') { cell.textContent = '\u2013'; cell.className = ''; return; }
    let share = high === low ? 0.5 : (value - low) / (high - low);
    if (!metric.higher) share = 1 - share;
    cell.textContent = short(value);
    cell.className = 'c' + Math.max(0, Math.min(4, Math.floor(share * 5)));
  }));
}

function make(tag, css, text) {
  const element = document.createElement(tag);
  if (css) element.className = css;
  if (text !== undefined) element.textContent = text;
  return element;
}

function drawFlips() {
  const points = at('flip-points');
  if (!points) return;
  const {metric, a, b} = chosen(), [low, high] = metric.range, sign = metric.higher ? 1 : -1;
  const place = value => Math.round(STEPS * (high > low ? (value - low) / (high - low) : 0.5));
  const counts = new Map(), gains = [];
  const counted = (arm, i) => {
    const value = metric.scores[arm][i];
    return typeof value !== 'number' && failed[arm].has(i) ? metric.failed : value;
  };
  rows.forEach((_, i) => {
    const x = counted(a, i), y = counted(b, i);
    if (typeof x !== 'number' || typeof y !== 'number') return;
    const key = place(x) + ' ' + place(y);
    counts.set(key, (counts.get(key) || 0) + 1);
    gains.push([sign * (y - x), i, x, y]);
  });
  const most = Math.max(1, ...counts.values());
  points.replaceChildren(...[...counts].sort((p, q) => q[1] - p[1]).map(([key, count]) => {
    const [x, y] = key.split(' ').map(Number), gain = sign * (y - x);
    const circle = document.createElementNS('http://www.w3.org/2000/svg', 'circle');
    circle.setAttribute('class', gain === 0 ? 'tied' : gain > 0 ? 'won' : 'lost');
    circle.setAttribute('cx', START + (END - START) * x / STEPS);
    circle.setAttribute('cy', SIZE - START - (END - START) * y / STEPS);
    circle.setAttribute('r', 3 + (most > 1 ? 13 * Math.sqrt(count / most) : 0));
    return circle;
  }));
  at('flip-a').textContent = data.arms[a];
  at('flip-b').textContent = data.arms[b];
  const won = gains.filter(g => g[0] > SAME).sort((p, q) => q[0] - p[0]);
  const lost = gains.filter(g => g[0] < -SAME).sort((p, q) => p[0] - q[0]);
  const parts = [];
  for (const [arm, found] of [[b, won], [a, lost]]) {
    const part = make('div');
    part.append(make('h3', '', data.arms[arm] + ' is better: ' + count(found.length)));
    const list = make('ol', 'flip-list');
    for (const [, i, x, y] of found.slice(0, MAX_FLIPS)) {
      const item = make('li');
      const name = rows[i].cells[0].firstChild.cloneNode(true);
      item.append(name, ' ', make('span', 'small-inline', short(x) + ' \u2192 ' + short(y)));
      list.append(item);
    }
    if (found.length > MAX_FLIPS) list.append(make('li', 'start', 'and ' + (found.length - MAX_FLIPS) + ' more'));
    part.append(list);
    parts.push(part);
  }
  parts.push(make('p', 'small', 'The same on ' + count(gains.length - won.length - lost.length) + '.'));
  at('flip-lists').replaceChildren(...parts);
}

const words = text => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];

function difference(before, after) {
  let start = 0, a = words(before), b = words(after);
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  const head = a.slice(0, start).join('');
  a = a.slice(start); b = b.slice(start);
  let end = 0;
  while (end < a.length && end < b.length && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const tail = a.slice(a.length - end).join('');
  a = a.slice(0, a.length - end); b = b.slice(0, b.length - end);
  const out = [['', head]];
  if (a.length * b.length > 4e6) out.push(['del', a.join('')], ['ins', b.join('')]);
  else {
    const width = b.length + 1, table = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1)
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { out.push(['', a[i]]); i += 1; j += 1; }
      else if (j < b.length && (i === a.length || table[i * width + j + 1] > table[(i + 1) * width + j])) {
        out.push(['ins', b[j]]); j += 1;
      } else { out.push(['del', a[i]]); i += 1; }
    }
  }
  out.push(['', tail]);
  return out;
}

function compareAnswers(line) {
  if (!line.open) return;
  const box = line.querySelector('.diff'), {a, b} = chosen(), found = {};
  for (const card of line.querySelectorAll('.card'))
    for (const arm of JSON.parse(card.dataset.arms)) found[arm] = card.querySelector('.answer').textContent;
  const before = found[data.arms[a]], after = found[data.arms[b]];
  box.hidden = a === b || before === undefined || after === undefined;
  if (box.hidden) return;
  const title = make('h4', '', 'From ' + data.arms[a] + ' to ' + data.arms[b]);
  const text = make('p', 'diff-text');
  if (before === after) text.textContent = 'Both give the same answer.';
  else {
    let last = null, element = null;
    for (const [tag, piece] of difference(before, after)) {
      if (!piece) continue;
      if (tag !== last) { element = tag ? make(tag) : make('span'); text.append(element); last = tag; }
      element.textContent += piece;
    }
  }
  box.replaceChildren(title, text);
}

function openTarget() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && at(id);
  if (!target || target.tagName !== 'DETAILS') return;
  target.hidden = false;
  target.open = true;
  compareAnswers(target);
  target.querySelector('summary').focus({preventScroll: true});
  target.scrollIntoView({block: 'start'});
}

function refresh() { filter(); drawFlips(); lines.forEach(compareAnswers); }

at('toolbar').hidden = false;
for (const button of at('toolbar').querySelectorAll('button')) button.addEventListener('click', () => {
  kind = button.dataset.filter;
  for (const other of at('toolbar').querySelectorAll('button'))
    other.setAttribute('aria-pressed', String(other === button));
  filter();
});
for (const select of at('toolbar').querySelectorAll('select')) select.addEventListener('change', refresh);
at('pick-metric').addEventListener('change', paint);
at('search').addEventListener('input', filter);
lines.forEach(line => line.addEventListener('toggle', () => compareAnswers(line)));
window.addEventListener('hashchange', openTarget);
document.addEventListener('click', event => {
  const link = event.target.closest && event.target.closest('a[href^="#line-"]');
  if (link && link.getAttribute('href') === location.hash) { event.preventDefault(); openTarget(); }
});
filter();
lines.forEach(compareAnswers);
openTarget();
})();
"""
