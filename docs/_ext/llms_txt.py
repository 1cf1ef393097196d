"""``llms.txt``: a list of the pages with a sentence on each, for language models."""

from pathlib import Path

from docutils import nodes


def setup(app):
    """Write the file after the pages."""
    app.connect("build-finished", write_list)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_list(app, exception):
    """Write ``llms.txt`` and its links, in the order of the table of contents."""
    if exception or app.builder.format != "html":
        return
    env, config = app.env, app.config
    lines = [
        f"# {config.project} {config.release}",
        "",
        f"> {config.html_context['summary']}",
        "",
    ]
    guides = [name for name in reading_order(env) if not is_generated(name)]
    examples = [
        name for name in reading_order(env) if name.startswith("auto_examples/")
    ]
    for heading, names in (("Pages", guides), ("Examples", examples)):
        lines += [f"## {heading}", ""]
        lines += [entry(app, name) for name in names if name != "auto_examples/index"]
        lines.append("")
    Path(app.outdir, "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def reading_order(env):
    """List the pages as the table of contents leads through them."""
    order, waiting = [], [env.config.root_doc]
    while waiting:
        name = waiting.pop(0)
        if name not in order:
            order.append(name)
            waiting = list(env.toctree_includes.get(name, ())) + waiting
    return order


def is_generated(name):
    return name.startswith(("auto_examples/", "generated/"))


def entry(app, name):
    """Return the link of a page with its first sentence."""
    url = app.config.html_baseurl + app.builder.get_target_uri(name)
    title = app.env.titles[name].astext()
    sentence = first_sentence(app.env.get_doctree(name))
    return f"- [{title}]({url})" + (f": {sentence}" if sentence else "")


def first_sentence(doctree):
    """Return the first sentence outside of notes and lists."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            return text.partition(". ")[0].rstrip(".:") + "."
    return ""
