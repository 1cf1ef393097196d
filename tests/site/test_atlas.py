"""The page of the model atlas as a browser shows it, from disk and without a network.

Needs plotly (extra ``atlas``), and what the other tests of pages need.
"""

import numpy as np
import pandas as pd
import pytest
from browsing import open_browser, resize

from skl_locus.inspection import model_atlas
from skl_locus.inspection._atlas.page import WEBGL_FROM

pytestmark = pytest.mark.integration

WIDTHS = (1400, 390)
N_MODELS, N_TASKS = 60, 5
BAD = "</script><img src=x onerror=document.title='broken'><b>bold</b>"
"""A name that would run code if it were read as HTML."""

PLACE = """
const map = document.getElementById("map");
const model = data.names.indexOf(arguments[0]);
const { xaxis, yaxis } = map._fullLayout;
const box = map.getBoundingClientRect();
return [box.left + xaxis._offset + xaxis.l2p(data.x[model]),
        box.top + yaxis._offset + yaxis.l2p(data.y[model])];
"""

DISTANCE_FROM_CENTRE = """
const map = document.getElementById("map");
const model = data.names.indexOf(arguments[0]);
const middle = (axis) => (axis.range[0] + axis.range[1]) / 2;
return Math.hypot(middle(map.layout.xaxis) - data.x[model],
                  middle(map.layout.yaxis) - data.y[model]);
"""


def made(n_models):
    """Make embeddings far enough apart that each point can be hit."""
    rng = np.random.default_rng(0)
    names = [f"maker/model-{i:05d}" for i in range(n_models)]
    names[7] = BAD
    index = pd.Index(names)
    embeddings = pd.DataFrame(rng.permutation(n_models)[:, None] * [1.0, 0.0], index)
    embeddings[1] = rng.permutation(n_models)
    log = pd.DataFrame(
        {
            "model": np.repeat(names, N_TASKS),
            "task": np.tile([f"<i>task-{i}" for i in range(N_TASKS)], n_models),
            "score": rng.uniform(size=n_models * N_TASKS),
        }
    )
    # One model without a score of the first task, and one without any.
    log = log[(log["model"] != names[3]) & (log.index != 5 * N_TASKS)]
    costs = dict(zip(names, rng.uniform(1, 2, n_models), strict=True))
    return embeddings, log, costs


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pytest.importorskip("plotly")
    embeddings, log, costs = made(N_MODELS)
    families = {name: f"family-{i % 9}" for i, name in enumerate(embeddings.index)}
    atlas = model_atlas(embeddings, log, costs=costs, unit="$", families=families)
    return atlas.to_html(tmp_path_factory.mktemp("atlas") / "atlas.html")


@pytest.fixture(scope="module")
def browser():
    opened = open_browser()
    opened.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0}
    opened.execute_cdp_cmd(
        "Network.emulateNetworkConditions", {**offline, "uploadThroughput": 0}
    )
    yield opened
    opened.quit()


def wait_for(browser, script, *arguments):
    """Wait until a script returns something true, and return it."""
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    return wait(browser, 60).until(lambda b: b.execute_script(script, *arguments))


def show(browser, page, width=WIDTHS[0], scheme="light"):
    resize(browser, width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())
    wait_for(browser, "return document.body.dataset.ready")


def text_of(browser, selector):
    return browser.execute_script(
        "return document.querySelector(arguments[0]).innerText", selector
    )


def mouse(browser, kind, place, **options):
    event = {"type": kind, "x": place[0], "y": place[1], **options}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def type_into_search(browser, *keys):
    browser.find_element("id", "search").send_keys(*keys)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_loads_nothing_and_reports_no_error(browser, page, width, scheme):
    browser.get_log("browser")
    show(browser, page, width, scheme)
    type_into_search(browser, "model-00012", "\ue007")
    script = "const p = document.documentElement; return p.scrollWidth - p.clientWidth"
    assert browser.execute_script(script) <= 0
    loaded = "return performance.getEntriesByType('resource').map((r) => r.name)"
    assert [name for name in browser.execute_script(loaded) if "http" in name] == []
    assert browser.get_log("browser") == []


def test_the_search_finds_announces_centres_and_selects_by_keys(browser, page):
    show(browser, page)
    type_into_search(browser, "MODEL-0001")
    assert "10 models found" in text_of(browser, "#search-status")
    assert browser.find_element("id", "search").get_attribute("aria-expanded") == "true"
    type_into_search(browser, "\ue015")  # arrow down
    name = "maker/model-00011"
    assert text_of(browser, "#hits [aria-selected=true]") == name
    active = browser.find_element("id", "search").get_attribute("aria-activedescendant")
    assert browser.find_element("id", active).text == name
    wait_for(browser, "return map.data[map.data.length - 2].x.length === 10")
    assert browser.execute_script(DISTANCE_FROM_CENTRE, name) < 1e-6
    type_into_search(browser, "\ue007")  # enter
    assert text_of(browser, "#details-heading") == f"Selected model: {name}"
    assert browser.execute_script("return document.getElementById('hits').hidden")
    rows = browser.find_elements("css selector", ".strengths tbody tr")
    assert len(rows) == N_TASKS


def test_a_search_without_hits_says_so_and_escape_clears_it(browser, page):
    show(browser, page)
    type_into_search(browser, "nobody")
    assert text_of(browser, "#search-status") == "No model found."
    type_into_search(browser, "\ue00c")  # escape
    assert text_of(browser, "#search-status") == ""


def test_pointing_shows_a_model_and_a_click_selects_it(browser, page):
    show(browser, page)
    name = "maker/model-00020"
    place = browser.execute_script(PLACE, name)
    mouse(browser, "mouseMoved", [place[0] - 3, place[1]])
    mouse(browser, "mouseMoved", place)
    wait_for(browser, "return !document.getElementById('tip').hidden")
    tip = text_of(browser, "#tip")
    for part in (name, "Mean score", "Best beside", "Nearest", "Cost per query"):
        assert part in tip
    button = {"button": "left", "clickCount": 1}
    mouse(browser, "mousePressed", place, **button)
    mouse(browser, "mouseReleased", place, **button)
    heading = "return document.getElementById('details-heading').innerText"
    wait_for(browser, f"{heading}.endsWith(arguments[0])", name)
    nearest = browser.find_elements("css selector", "#details table:last-child button")
    assert len(nearest) == 10
    other = nearest[0].text
    nearest[0].click()
    assert text_of(browser, "#details-heading") == f"Selected model: {other}"


def test_names_are_text_and_never_code(browser, page):
    show(browser, page)
    type_into_search(browser, "</script>", "\ue007")
    assert text_of(browser, "#details-heading") == f"Selected model: {BAD}"
    assert "<i>task-0" in text_of(browser, ".strengths")
    assert browser.title == "Model atlas"
    assert (
        browser.execute_script(
            "return document.querySelectorAll('b, img, i > *').length"
        )
        == 0
    )


def test_models_without_a_value_are_hollow(browser, page):
    show(browser, page)
    count = """
    return map.data.filter((t) => t.customdata && t.marker.symbol.endsWith("-open"))
      .reduce((n, t) => n + t.x.length, 0);
    """
    assert browser.execute_script(count) == 1
    browser.execute_script(
        "const s = document.getElementById('colour'); s.value = '0';"
        "s.dispatchEvent(new Event('change'));"
    )
    wait_for(browser, count.replace("return map", "return 2 === map"))
    assert "Hollow: 2 of" in text_of(browser, "#map-note")


def test_families_differ_by_colour_and_shape_and_can_be_hidden(browser, page):
    show(browser, page)
    buttons = browser.find_elements("css selector", "#legend button")
    paths = browser.execute_script(
        "return [...document.querySelectorAll('#legend path')]"
        ".map((p) => p.getAttribute('d') + p.getAttribute('fill'))"
    )
    assert len(set(paths)) == len(buttons) == 9
    shown = "return map.data.reduce((n, t) => n + (t.customdata || []).length, 0)"
    assert browser.execute_script(shown) == N_MODELS
    buttons[0].click()
    assert buttons[0].get_attribute("aria-pressed") == "false"
    size = int(buttons[0].text.split("(")[1].rstrip(")"))
    wait_for(browser, f"{shown} === {N_MODELS - size}")


def test_every_control_has_a_name(browser, page):
    show(browser, page)
    unnamed = """
    return [...document.querySelectorAll("input, select, button, section, [role=img]")]
      .filter((e) => !e.closest("[hidden]") && !(e.labels && e.labels.length)
        && !e.textContent.trim() && !e.getAttribute("aria-label"))
      .map((e) => e.outerHTML);
    """
    assert browser.execute_script(unnamed) == []


def test_large_pools_are_drawn_by_webgl(browser, tmp_path):
    pytest.importorskip("plotly")
    embeddings, log, _ = made(WEBGL_FROM)
    page = model_atlas(embeddings, log).to_html(tmp_path / "large.html")
    browser.get_log("browser")
    show(browser, page)
    kind = "scattergl" if browser.execute_script("return hasWebGL()") else "scatter"
    assert browser.execute_script("return map.data[0].type") == kind
    type_into_search(browser, "model-02000", "\ue007")
    assert "model-02000" in text_of(browser, "#details-heading")
    serious = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert serious == []
