"""Examples of the gallery on the pages of what they use."""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

ORDER = [
    *("map_of_models.py", "families.py", "agreement.py", "stability.py"),
    "portfolio_curve.py",
    *(
        "text_pipeline.py",
        "image_queries.py",
        "audio_queries.py",
        "comparing_routers.py",
        "explaining.py",
        "reliability.py",
        "learning_curve.py",
    ),
    *("cost_curve.py", "savings.py"),
    *("onboarding.py", "adaptive_evaluation.py", "drift.py", "fallback.py"),
]
"""Examples in the order of a first walk; others follow by name."""


class ExampleOrder:
    """Key by which the examples of a section are sorted."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Return the place of an example, and its name."""
        return (ORDER.index(name) if name in ORDER else len(ORDER), name)

    def __repr__(self):
        """Return a name that is the same in each build."""
        return "ExampleOrder"


class GalleryLinks(Directive):
    """The thumbnails of the examples that use a name, under a heading.

    Unlike ``minigallery``, it writes nothing, not even the heading, where no example
    uses the name.
    """

    required_arguments = 1

    def run(self):
        """Return the heading and the thumbnails, or nothing."""
        env = self.state.document.settings.env
        folder = env.app.config.sphinx_gallery_conf["backreferences_dir"]
        path = Path(env.srcdir, folder, f"{self.arguments[0]}.examples")
        if not path.exists() or not path.read_text().strip():
            return []
        env.note_dependency(str(path))
        name = self.arguments[0]
        lines = [".. rubric:: In the gallery", "", f".. minigallery:: {name}", ""]
        holder = nodes.Element()
        self.state.nested_parse(
            StringList(lines, str(path)), self.content_offset, holder
        )
        return holder.children


def setup(app):
    """Register the directive."""
    app.add_directive("gallery-links", GalleryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
