"""The page about a router."""

import re
from html.parser import HTMLParser

import pytest
from command_line import parts_of, run, run_well, text_log

EVIL = "<script>alert('$x_$')</script>"


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        names = ("src", "href", "srcset", "data", "action", "background")
        self.sources += [value for name, value in attrs if name in names]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    log = text_log()
    log["model"] = log["model"].replace({"model-1": EVIL})
    old, new = parts_of(log, 90)
    old.to_csv(folder / "old.csv", index=False)
    new.to_csv(folder / "new.csv", index=False)
    small = ["-p", "n_components=8", "-p", "max_iter=4", "--random-state", "0"]
    saved = folder / "<b>router.locus"
    run_well("fit", folder / "old.csv", "-o", saved, "--encoder", "hashing", *small)
    run_well("report", saved, folder / "new.csv", "-o", folder / "page.html")
    return folder


def test_all_sections_are_there(page):
    text = (page / "page.html").read_text()
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == [
        *("Overview", "Models", "Families", "Map"),
        *("Quality", "Headroom", "Calibration"),
    ]


def test_labels_are_escaped(page):
    text = (page / "page.html").read_text()
    read = Page(text)
    assert not {"script", "b"} & set(read.tags)
    assert "<script" not in text
    assert EVIL in read.text
    assert "Router <b>router.locus" in read.text


def test_nothing_is_loaded_from_elsewhere(page):
    text = (page / "page.html").read_text()
    read = Page(text)
    assert not {"link", "iframe", "object", "embed"} & set(read.tags)
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    assert "://" not in text
    assert "default-src" in text
    assert "url(" not in text


def test_the_map_needs_matplotlib_and_nothing_else_does(page, monkeypatch):
    pytest.importorskip("matplotlib")
    assert Page((page / "page.html").read_text()).tags.count("img") == 1
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    output = page / "without.html"
    run_well("report", page / "<b>router.locus", page / "new.csv", "-o", output)
    read = Page(output.read_text())
    assert "img" not in read.tags
    assert "The map needs matplotlib" in read.text


def test_a_router_without_embeddings_has_families_and_no_map(logs, saved, tmp_path):
    output = tmp_path / "page.html"
    result = run_well("report", saved, logs / "new.csv", "-o", output, "--json").json
    assert result["output"] == str(output)
    titles = re.findall("<h2>(.*?)</h2>", output.read_text())
    assert "Families" in titles
    assert "Map" not in titles


def test_known_queries_are_refused_or_said_on_the_page(logs, saved, tmp_path):
    output = tmp_path / "page.html"
    refused = run("report", saved, logs / "old.csv", "-o", output)
    assert refused.status == 1
    assert not output.exists()
    run_well("report", saved, logs / "old.csv", "-o", output, "--allow-seen")
    assert "may have been fitted on these queries" in output.read_text()
