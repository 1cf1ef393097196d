"""Formulas as MathML, which browsers show without any script or network."""

from html import escape

from latex2mathml.converter import convert


def setup(app):
    """Register the renderer, and use it."""
    renderers = (visit_inline, None), (visit_block, None)
    app.add_html_math_renderer("mathml", *renderers)
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator, node):
    """Write a formula within a line."""
    from docutils import nodes

    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a formula on lines of its own, which scroll on a narrow screen."""
    from docutils import nodes

    formula = mathml(node.astext(), "block")
    translator.body.append(f'<div class="math-block" tabindex="0">{formula}</div>\n')
    raise nodes.SkipNode


def mathml(tex, display):
    """Convert TeX, and keep it as the text that is copied and searched."""
    converted = convert(tex, display=display)
    return converted.replace("<math ", f'<math alttext="{escape(tex)}" ', 1)
