"""What every page must hold for everyone: axe's A to AAA rules, and targets that a finger hits."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "cloud" / "web" / "node_modules" / "axe-core" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag2aaa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
_RUN = """(tags) => axe.run(document, {
  runOnly: { type: 'tag', values: tags },
  rules: { 'color-contrast-enhanced': { enabled: true }, 'target-size': { enabled: true },
           'identical-links-same-purpose': { enabled: true }, 'meta-refresh-no-exceptions': { enabled: true } },
  resultTypes: ['violations'],
})"""
SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, input, select, summary, [role=radio]')]
  .filter((e) => e.checkVisibility())
  .filter((e) => !e.closest('p, .maplibregl-ctrl-attrib, .visually-hidden, [aria-hidden=true]'))
  .filter((e) => !e.matches('.skip, [data-rac] input, input[type=radio]'))
  .map((e) => [e.getBoundingClientRect(), e.outerHTML.slice(0, 120)])
  .filter(([box]) => box.width > 0 && (box.width < 43.5 || box.height < 43.5))
  .map(([box, html]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""


def violations(page: Page) -> list[tuple[str, str, str]]:
    """What axe finds on the page as it stands: rule, element, why."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # not as a script tag, which a strict policy refuses
    result: dict[str, Any] = page.evaluate(_RUN, _TAGS)
    return [
        (violation["id"], node["html"][:160], node["failureSummary"][:300])
        for violation in result["violations"]
        for node in violation["nodes"][:4]
    ]
