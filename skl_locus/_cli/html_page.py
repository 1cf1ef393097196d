"""HTML pages that need no other file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
.notice { border-left: 4px solid #c60; padding-left: 0.8rem; }
"""

# A browser then loads nothing from elsewhere, whatever a label may contain.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy of the page."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{sections}
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    title : str
        Heading, not escaped yet.
    content : str
        HTML.
    """

    title: str
    content: str


def page(title: str, sections: Iterable[Section | None]) -> str:
    """Return a page with some sections; those that are None are left out."""
    return PAGE.format(
        title=html.escape(title),
        policy=html.escape(POLICY),
        style=STYLE,
        sections="\n".join(
            f"<h2>{html.escape(section.title)}</h2>\n{section.content}"
            for section in sections
            if section is not None
        ),
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{html.escape(text)}</p>"


def table(frame: pd.DataFrame, *, index: bool = True) -> str:
    """Return a table with all cells escaped."""
    return frame.to_html(
        index=index, escape=True, border=0, na_rep="-", float_format="{:.3f}".format
    )


def definitions(values: Mapping[str, Any]) -> str:
    """Return a table of names and values."""
    rows = (
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{''.join(rows)}</table>"


def image(png: str, description: str) -> str:
    """Return a picture from its bytes in base64."""
    alt = html.escape(description, quote=True)
    return f'<img alt="{alt}" src="data:image/png;base64,{png}">'
