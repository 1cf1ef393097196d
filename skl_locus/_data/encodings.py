"""Encodings of queries as numbers: which can be computed with, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_ENTRY = 1e15
"""Largest entry of an encoding, in absolute value. Squared distances are sums of
squares in float32, which ends at 3e38; this leaves room for weights and for differences
in scale between the queries of a log and later ones."""

HARMLESS_SQUARES = (MAX_ENTRY / 2) ** 2
"""Sum of squares up to which no entry can be beyond `MAX_ENTRY`, however it is
rounded."""

MIN_SPREAD = 1e-16
"""Least typical distance between encodings that differ: squares of smaller ones have
few digits, or none, in float32."""

UNUSABLE = f"NaN, inf or an entry beyond {MAX_ENTRY:g}"
"""What an encoding may not have."""

OUTLYING = 30.0
"""Distance from the middle, as a multiple of the typical one, to which encodings
farther out are moved. From about a hundred on, a single one decides the penalties of
all regressions; up to thirty, no estimator chose worse (make_evaluations, 250
queries)."""

OFFSET = 100.0
"""Distance of the middle from the origin, as a multiple of the typical distance from
the middle, from which on encodings are centred. Products of float32 are exact to 6e-8
of the squared lengths, which is then a thousandth of the squared distances."""

MANY = 0.05
"""Share of the encodings from which on those that lie far out are no outliers: in a log
of which most encodings are equal, such as those of texts without a known word, all
others are far from typical."""

SAMPLE = 2_048
"""Encodings that the middle and the typical distance are taken from. They are in the
order of digests, so that the first ones are a random sample."""

CHUNK = 8_192
"""Encodings whose distances are computed at a time."""


def first_unusable(vectors: np.ndarray) -> int | None:
    """Return the first row with NaN, inf or an entry beyond `MAX_ENTRY`, or None."""
    # No entry is larger than the root of the sum of squares, which takes one pass and
    # no copy: nearly every request ends here. NaN and what overflows fail.
    flat = vectors.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        if flat.dtype.kind == "f" and flat @ flat <= HARMLESS_SQUARES:
            return None
    usable = (np.abs(vectors) <= MAX_ENTRY).all(axis=1)  # NaN fails the comparison
    return None if usable.all() else int(usable.argmin())


@dataclass(frozen=True)
class TypicalEncodings:
    """Where the encodings of a log lie, and how far apart, whatever its outliers.

    Parameters
    ----------
    middle : ndarray of shape (n_features,), float32
        Median of each feature.
    distance : float
        Median distance from the middle; 0 where all encodings are equal.
    """

    middle: np.ndarray
    distance: float

    @classmethod
    def of(cls, encodings: np.ndarray) -> TypicalEncodings:
        """Learn from distinct encodings (n_vectors, n_features).

        Raises
        ------
        ValueError
            If they are so close together that float32 cannot hold their distances.
        """
        sample = encodings[:SAMPLE]
        # Medians: the mean of a thousand encodings follows one that is far enough out.
        middle = np.median(sample, axis=0).astype(np.float32)
        distances = _distances(sample, middle)
        distance = float(np.median(distances))
        if np.sum(distances > OUTLYING * distance) > max(1, MANY * len(sample)):
            distance = float(np.quantile(distances, 1 - MANY))
        if 0 < distance < MIN_SPREAD:
            raise ValueError(
                f"The encodings of the queries lie within {distance:g} of each other, "
                "which is too close for float32; multiply them by a constant."
            )
        return cls(middle, distance)

    @property
    def is_offset(self) -> bool:
        """Whether encodings have far more in common than they differ by."""
        length = float(np.linalg.norm(self.middle.astype(np.float64)))
        return self.distance > 0 and length > OFFSET * self.distance

    def centred(self, encodings: np.ndarray) -> np.ndarray:
        """Take the middle off encodings with a large offset; leave others alone.

        The difference of two float32 that are close together is exact.
        """
        return encodings - self.middle if self.is_offset else encodings

    def of_centred(self) -> TypicalEncodings:
        """Return what is typical of the encodings as `centred` returns them."""
        if not self.is_offset:
            return self
        return TypicalEncodings(np.zeros_like(self.middle), self.distance)

    def outlying(self, encodings: np.ndarray) -> np.ndarray:
        """Return the rows that lie far outside, with their ratios to what is typical.

        Returns
        -------
        ndarray of shape (n_outlying, 2)
            Row, and distance from the middle as a multiple of the typical one.
        """
        if self.distance == 0:
            return np.empty((0, 2))
        ratios = _distances(encodings, self.middle) / self.distance
        rows = np.flatnonzero(ratios > OUTLYING)
        return np.column_stack([rows, ratios[rows]])

    def pulled_in(self, encodings: np.ndarray, outlying: np.ndarray) -> np.ndarray:
        """Move outlying rows towards the middle, to `OUTLYING` typical distances."""
        if not len(outlying):
            return encodings
        rows, ratios = outlying[:, 0].astype(np.intp), outlying[:, 1]
        departures = encodings[rows].astype(np.float64) - self.middle
        moved = encodings.copy()
        moved[rows] = self.middle + departures * (OUTLYING / ratios)[:, None]
        return moved


def _distances(encodings: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return Euclidean distances from a point, in float64: (n_vectors,)."""
    starts = range(0, len(encodings), CHUNK)
    parts = [
        np.linalg.norm(encodings[i : i + CHUNK].astype(np.float64) - middle, axis=1)
        for i in starts
    ]
    return np.concatenate(parts)
