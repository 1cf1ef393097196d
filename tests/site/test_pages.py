"""The built site as a browser shows it, on a wide and on a narrow screen.

Build it first, by ``sphinx-build docs docs/_build/html`` (extra ``docs``). Chromium and
its driver are packages of Debian (chromium, chromium-driver); selenium is in the extra
``browser``. ``SKL_LOCUS_SITE`` names another folder with the site.
"""

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsing import open_browser, resize

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
SITE = Path(os.environ.get("SKL_LOCUS_SITE", REPOSITORY / "docs" / "_build" / "html"))
WIDTHS = (1400, 390)
MIN_CONTRAST = 4.5
"""Of text on its ground, by the guidelines for accessible pages (WCAG 2.2, AA)."""

MIN_EXAMPLES = 14
"""Examples that the gallery has at least."""

FAULTS_OF_PAGE = """
const faults = [];
const page = document.documentElement;
const wide = page.scrollWidth - page.clientWidth;
if (wide > 1) faults.push(`scrolls sideways by ${wide} px`);
for (const image of document.images)
  if (image.loading !== "lazy" && !(image.complete && image.naturalWidth > 0))
    faults.push(`image not shown: ${image.src}`);
return faults;
"""

LOWEST_CONTRAST = """
const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = numbers(getComputedStyle(e).backgroundColor);
    if (color.length === 3 || color[3] > 0.99) return color;
  }
  return [255, 255, 255];
};
let lowest = [21, ""];
for (const e of document.querySelectorAll(arguments[0])) {
  if (!e.innerText || !e.innerText.trim() || !e.offsetParent) continue;
  const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < lowest[0])
    lowest = [contrast, `${e.tagName}.${e.className}: ${e.innerText.slice(0, 40)}`];
}
return lowest;
"""

TEXT = (
    "article p, article li, article td, article th, article h1, article h2, article a"
)


class Links(HTMLParser):
    """The identifiers of a page, and what it refers to."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.targets = set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.update(value for key, value in attrs if key in ("id", "name"))
        key = {"a": "href", "link": "href", "img": "src", "script": "src"}.get(tag)
        if key and values.get(key):
            self.targets.add(values[key])


@pytest.fixture(scope="module")
def pages():
    if not (SITE / "index.html").exists():
        pytest.skip(f"the site is not built: {SITE}")
    # The theme keeps a template among its static files.
    found = sorted(SITE.rglob("*.html"))
    return [page for page in found if "_static" not in page.relative_to(SITE).parts]


@pytest.fixture(scope="module")
def browser():
    opened = open_browser()
    yield opened
    opened.quit()


def show(browser, page, theme="light"):
    """Open a page, unless it is open already, in a theme."""
    if browser.current_url.partition("#")[0] != page.as_uri():
        browser.get(page.as_uri())
    script = "document.documentElement.dataset.theme = arguments[0]"
    browser.execute_script(script, theme)


def name_of(page):
    return str(page.relative_to(SITE))


def test_no_link_of_the_site_is_broken(pages):
    parsed = {page: Links(page.read_text(encoding="utf-8")) for page in pages}
    broken = []
    for page, links in parsed.items():
        for target in sorted(links.targets):
            parts = urlsplit(target)
            # Addresses of other sites cannot be looked at without a network.
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            known = parsed[path].ids if path in parsed else None
            missing = known is not None and unquote(parts.fragment) not in known
            if not path.exists() or (parts.fragment and missing):
                broken.append(f"{name_of(page)}: {target}")
    assert not broken


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_shows_its_images(browser, pages, width):
    resize(browser, width)
    faults = {}
    for page in pages:
        show(browser, page)
        if found := browser.execute_script(FAULTS_OF_PAGE):
            faults[name_of(page)] = found
    assert not faults


def test_the_gallery_shows_a_picture_for_each_example(browser, pages):
    resize(browser, WIDTHS[0])
    show(browser, SITE / "auto_examples" / "index.html")
    script = """
    return [...document.querySelectorAll(".sphx-glr-thumbcontainer img")].map(
      (image) => image.complete && image.naturalWidth > 0 && image.src);
    """
    shown = browser.execute_script(script)
    assert len(shown) >= MIN_EXAMPLES
    assert all(shown)
    # The picture that stands for an example without one.
    assert not any("no_image" in source for source in shown)


def test_text_is_readable_in_light_and_dark(browser, pages):
    resize(browser, WIDTHS[0])
    faults = []
    for page in pages:
        # Pages of source code have the colours of every code block.
        if "_modules" in page.parts:
            continue
        for theme in ("light", "dark"):
            show(browser, page, theme)
            contrast, where = browser.execute_script(LOWEST_CONTRAST, TEXT)
            if contrast < MIN_CONTRAST:
                faults.append(f"{name_of(page)}, {theme}: {contrast:.1f} {where}")
    assert not faults
