"""Tables and pictures in Markdown."""

import numpy as np


def table(frame):
    """Write a dataframe as a Markdown table."""
    if frame.empty:
        return "(none)"
    rows = [list(frame.columns), ["---"] * frame.shape[1]]
    rows += frame.astype(object).to_numpy().tolist()
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(value):
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return ""
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "\\|")


def picture(folder, name):
    """Link a picture of a folder, relative to the report beside it."""
    return f"![{name}]({folder}/{name})"
