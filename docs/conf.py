"""Configuration of Sphinx for this documentation."""

import os
import sys
from pathlib import Path

import skl_locus

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

project = "skl-locus"
author = "The skl-locus developers"
copyright = "the skl-locus developers"
version = release = skl_locus.__version__
SUMMARY = "Learn from a log of evaluations which language model answers which query."

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx_sitemap",
    "sphinxext.opengraph",
    # Of this repository, in _ext:
    "gallery_links",
    "inventories",
    "llms_txt",
    "mathml",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "auto_examples/**/*.py", "results"]
# Single backticks mark code, and link it where it is documented here.
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
# The template of the class pages lists the methods.
numpydoc_show_class_members = False
# Types of parameters link to Python, numpy and pandas, where they are written alike.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {"DataFrame": "pandas.DataFrame", "Series": "pandas.Series"}

# Prompts and outputs are left out of what the button copies.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "auto_examples",
    # Every file is run: names say the subject and need no prefix.
    "filename_pattern": r"gallery",
    "ignore_pattern": r"__init__\.py",
    "subsection_order": [
        "../examples/gallery/explore",
        "../examples/gallery/route",
        "../examples/gallery/costs",
        "../examples/gallery/change",
    ],
    "within_subsection_order": "gallery_links.ExampleOrder",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skl_locus",),
    "reference_url": {"skl_locus": None},
    "inspect_global_variables": False,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "min_reported_time": 1,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "plot_gallery": "True",
}

# Read the Docs and others set an address; pages are complete without one.
html_baseurl = os.environ.get(
    "DOCS_URL",
    os.environ.get("READTHEDOCS_CANONICAL_URL", "https://skl-locus.example/"),
)
sitemap_url_scheme = "{link}"
sitemap_show_lastmod = False
ogp_site_url = html_baseurl
ogp_site_name = f"skl-locus {release}"
ogp_image = "_static/front.png"
ogp_description_length = 200
ogp_social_cards = {"enable": False}

html_theme = "pydata_sphinx_theme"
html_title = f"skl-locus {release}"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_theme_options = {
    "logo": {"text": "skl-locus", "alt_text": "skl-locus, to the front page"},
    "navbar_start": ["navbar-logo", "version"],
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "back_to_top_button": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    # The links of the gallery show on its pages alone.
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Pages without neighbours in a section use the whole width.
html_sidebars = {page: [] for page in ("index", "install", "tutorial")}
html_context = {"default_mode": "auto", "summary": SUMMARY}
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
