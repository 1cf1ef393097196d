"""The base class of all displays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from skl_locus.inspection._plot.axes import axes_or_new


class DisplayBase:
    """A picture that keeps what it shows, and where it was drawn.

    Subclasses take their tables in ``__init__`` and implement `_draw`. Those whose
    `plot` has options of its own override it and call `_draw_on`.
    """

    _figure_size = (6.4, 4.8)

    _draw: Callable[..., None]
    """Draws on given axes, with the options of `plot`."""

    ax_: Any
    figure_: Any

    def plot(self, ax: Any = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        self
            The display, drawn.
        """
        return self._draw_on(ax)

    def _draw_on(self, ax: Any, **options: Any) -> Self:
        own_axes = axes_or_new(ax, self._figure_size)
        self._draw(own_axes, **options)
        # Kept once all is drawn: an error leaves no axes that are half empty.
        self.ax_, self.figure_ = own_axes, own_axes.figure
        return self
