"""Configuration of Sphinx for this documentation."""

import skl_locus

project = "skl-locus"
author = "The skl-locus developers"
copyright = "the skl-locus developers"
version = release = skl_locus.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
# Single backticks mark code, and link it where it is documented here.
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
# The template of the class pages lists the methods.
numpydoc_show_class_members = False

html_theme = "alabaster"
html_theme_options = {
    "description": "Embed language models from their evaluations and choose among "
    "them.",
    "page_width": "1120px",
    "sidebar_width": "240px",
    "fixed_sidebar": True,
}
html_sidebars = {"**": ["about.html", "navigation.html", "searchfield.html"]}
html_static_path = ["_static"]
html_show_sourcelink = False
