"""What is wrong with a page in a browser: texts that can hardly be read, and errors that it reports."""

from __future__ import annotations

from typing import Any

CONTRAST = """
const light = text => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
  const part = value => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const back = element => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (!/rgba\\(.*, 0\\)/.test(color)) return color;
  }
  return 'rgb(255, 255, 255)';
};
const low = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility() || element.closest('svg, .skip, option')) continue;
  const [a, b] = [light(getComputedStyle(element).color), light(back(element))].sort((p, q) => q - p);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) low.push([element.tagName, element.className, element.textContent.slice(0, 30), ratio]);
}
return low;
"""
"""A script that returns the texts that are hard to tell from what is behind them (WCAG 2.2, 1.4.3): tag, class, text and
ratio; empty where all have 4.5 or more."""


def reported_errors(driver: Any) -> list[dict[str, Any]]:
    """What the pages have logged; the browser's own page, which is there before the first one, has errors of its own."""
    return [entry for entry in driver.get_log("browser") if not entry["message"].startswith("chrome://")]
