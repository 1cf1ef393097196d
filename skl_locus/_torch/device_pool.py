"""Copies of a pool's weights, embeddings and evidence on a device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from skl_locus._networks.locus_state import PackedPredictor
from skl_locus._torch.contexts import in_own_context
from skl_locus._torch.device import inference_placement
from skl_locus._torch.kept_copies import KeptCopies

MAX_HIDDEN = 2**26
"""Hidden units computed at a time; 256 MB in float32."""

ROWS_AT_A_TIME = 2**16
"""Queries on the device at a time; 200 MB of encodings with 768 features."""


class Novelty(Protocol):
    """What turns distances into weights."""

    @property
    def edge(self) -> float: ...
    @property
    def width(self) -> float: ...
    @property
    def decay(self) -> float: ...


class Evidence(Protocol):
    """Packed evidence, as ``_evidence.packed.PackedEvidence`` documents it."""

    @property
    def directions(self) -> np.ndarray: ...
    @property
    def intercepts(self) -> np.ndarray: ...
    @property
    def tables(self) -> tuple[np.ndarray, ...]: ...
    @property
    def half_norms(self) -> np.ndarray: ...
    @property
    def anchors(self) -> np.ndarray: ...
    @property
    def anchor_weight(self) -> float: ...
    @property
    def departure_weight(self) -> float: ...
    @property
    def reliability(self) -> np.ndarray: ...
    @property
    def novelty(self) -> Novelty: ...
    @property
    def novelty_clustering(self) -> int: ...
    @property
    def network_share(self) -> float: ...


@dataclass(frozen=True)
class DevicePredictor:
    """The tensors of a `PackedPredictor`, which has the formulas.

    Parameters
    ----------
    input_map, input_offset : Tensor
        From encodings to inputs of the network, the last of them 1; to u itself where
        the inputs are not fewer.
    to_queries : Tensor or None
        From inputs to u; None where they are u.
    embeddings, hidden_embedding, hidden_query, hidden_product, out : Tensor
        As in the packed predictor.
    out_offset, bilinear_scale : float
        As in the packed predictor.
    """

    input_map: Tensor
    input_offset: Tensor
    to_queries: Tensor | None
    embeddings: Tensor
    hidden_embedding: Tensor
    hidden_query: Tensor
    hidden_product: Tensor
    out: Tensor
    out_offset: float
    bilinear_scale: float

    @classmethod
    def of(cls, packed: PackedPredictor, device: torch.device) -> DevicePredictor:
        """Copy the arrays of a predictor to a device."""
        input_map, offset = packed.query_map, packed.query_offset
        to_queries = None
        if packed.inputs is not None:
            input_map, offset = packed.inputs.input_map, packed.inputs.input_offset
            to_queries = _copied(packed.inputs.to_queries, device)
        return cls(
            input_map=_copied(input_map, device),
            input_offset=_copied(offset, device),
            to_queries=to_queries,
            embeddings=_copied(packed.embeddings, device),
            hidden_embedding=_copied(packed.hidden_embedding, device),
            hidden_query=_copied(packed.hidden_query, device),
            hidden_product=_copied(packed.hidden_product, device),
            out=_copied(packed.out, device),
            out_offset=float(packed.out_offset),
            bilinear_scale=float(packed.bilinear_scale),
        )

    def take(self, columns: Tensor) -> DevicePredictor:
        """Keep some models only."""
        return replace(self, embeddings=self.embeddings.index_select(0, columns))

    def logits(self, encodings: Tensor) -> Tensor:
        """Score encodings (n_queries, n_features) -> (n_queries, n_models)."""
        x = torch.addmm(self.input_offset, encodings, self.input_map)
        step = max(1, MAX_HIDDEN // (len(self.out) * max(1, len(x))))
        parts = self.embeddings.split(step)
        return torch.cat([self._logits_of(x, z) for z in parts], dim=1)

    def _logits_of(self, x: Tensor, z: Tensor) -> Tensor:
        """Score inputs for some embeddings: (n_queries, n_embeddings)."""
        # Given a model the hidden layer is linear in the query: one product for all.
        weights = self.hidden_product * z.unsqueeze(1) + self.hidden_query
        weights[:, :, -1] += z @ self.hidden_embedding.mT
        directions = self.bilinear_scale * z
        if self.to_queries is not None:
            weights = weights @ self.to_queries
            directions = directions @ self.to_queries
        hidden = (x @ weights.flatten(0, 1).mT).relu_()
        from_hidden = hidden.view(len(x), len(z), -1) @ self.out
        return torch.addmm(from_hidden, x, directions.mT).add_(self.out_offset)


@dataclass(frozen=True)
class DeviceEvidence:
    """The tensors of packed evidence, whose class has the formulas.

    Parameters
    ----------
    directions, intercepts, tables, half_norms, anchors, reliability : Tensor
        As in the packed evidence.
    scalars : Evidence
        Its numbers.
    max_logit : float
        Bound of what is claimed.
    """

    directions: Tensor
    intercepts: Tensor
    tables: tuple[Tensor, ...]
    half_norms: Tensor
    anchors: Tensor
    reliability: Tensor
    scalars: Evidence
    max_logit: float

    @classmethod
    def of(
        cls, packed: Evidence, max_logit: float, device: torch.device
    ) -> DeviceEvidence:
        """Copy the arrays of evidence to a device."""
        return cls(
            _copied(packed.directions, device),
            _copied(packed.intercepts, device),
            tuple(_copied(table, device) for table in packed.tables),
            _copied(packed.half_norms, device),
            _copied(packed.anchors, device),
            _copied(packed.reliability, device),
            packed,
            max_logit,
        )

    def take(self, columns: Tensor) -> DeviceEvidence:
        """Keep some models only."""
        n_models = len(self.anchors)
        both = torch.cat([columns, columns + n_models])
        centers = self.directions[:, 2 * n_models :]
        return replace(
            self,
            directions=torch.cat([self.directions.index_select(1, both), centers], 1),
            intercepts=self.intercepts.index_select(0, both),
            tables=tuple(table.index_select(1, both) for table in self.tables),
            anchors=self.anchors.index_select(0, columns),
            reliability=self.reliability.index_select(0, columns),
        )

    def logits(self, encodings: Tensor, logits: Tensor) -> Tensor:
        """Combine with the network's logits into those of P(correct)."""
        sums, discount = self._weigh(encodings, first=len(self.anchors))
        return self._predict(sums, logits - self.anchors, discount)

    def scores_and_probabilities(
        self, encodings: Tensor, logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what decides between models, and the logits of P(correct)."""
        n_models = len(self.anchors)
        sums, discount = self._weigh(encodings)
        network = logits - self.anchors
        return (
            self._decide(sums[:, :n_models], network, discount),
            self._predict(sums[:, n_models:], network, discount),
        )

    def _decide(self, departures: Tensor, network: Tensor, discount: Tensor) -> Tensor:
        h, packed = self.scalars.network_share, self.scalars
        together = (1 - h) * departures + h * packed.departure_weight * network
        weighed = together * self.reliability * discount
        return weighed + packed.anchor_weight * self.anchors

    def _predict(self, evidence: Tensor, network: Tensor, discount: Tensor) -> Tensor:
        h = self.scalars.network_share
        evidence = evidence.clamp(-self.max_logit, self.max_logit) - self.anchors
        return ((1 - h) * evidence + h * network) * discount + self.anchors

    def _weigh(self, encodings: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Return sums (n_queries, 2 * n_models - first) and discounts (n_queries, 1).

        Of the sums, those before ``first`` are left out.
        """
        products = encodings @ self.directions[:, first:]
        n_sums = len(self.intercepts) - first
        sums = products[:, :n_sums] + self.intercepts[first:]
        closeness = products[:, n_sums:] - self.half_norms
        start = 0
        for i, table in enumerate(self.tables):
            nearest, clusters = closeness[:, start : start + len(table)].max(dim=1)
            sums += table[:, first:].index_select(0, clusters)
            if i == self.scalars.novelty_clustering:
                brackets = nearest
            start += len(table)
        # Rounding may take the square of a very small distance below zero.
        squares = (encodings.square().sum(dim=1) - 2 * brackets).clamp(min=0)
        novelty = self.scalars.novelty
        if math.isinf(novelty.edge):
            return sums, torch.ones_like(squares)[:, None]
        beyond = (squares.sqrt() - novelty.edge).clamp(min=0) / novelty.width
        return sums, torch.exp(-novelty.decay * beyond)[:, None]


@dataclass(frozen=True)
class DevicePool:
    """What predicts for all models of a pool, in float32 on a device.

    Parameters
    ----------
    predictor : DevicePredictor
        The network.
    evidence : DeviceEvidence or None
        The local evidence.
    """

    predictor: DevicePredictor
    evidence: DeviceEvidence | None

    @classmethod
    def of(
        cls,
        predictor: PackedPredictor,
        evidence: Evidence | None,
        max_logit: float,
        device: torch.device,
    ) -> DevicePool:
        """Copy what predicts to a device."""
        return cls(
            DevicePredictor.of(predictor, device),
            None
            if evidence is None
            else DeviceEvidence.of(evidence, max_logit, device),
        )

    @in_own_context
    @torch.no_grad()
    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct), (n_queries, n_columns), in host memory."""
        some = self._take(columns)
        parts = [some._correctness(part) for part in self._on_device(encodings)]
        return torch.cat(parts).cpu().numpy()

    @in_own_context
    @torch.no_grad()
    def scores_and_probabilities(
        self, encodings: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return decision scores and P(correct), in host memory."""
        some = self._take(columns)
        parts = [some._both(part) for part in self._on_device(encodings)]
        decisions, probabilities = map(torch.cat, zip(*parts, strict=True))
        return decisions.cpu().numpy(), probabilities.cpu().numpy()

    def _correctness(self, encodings: Tensor) -> Tensor:
        logits = self.predictor.logits(encodings)
        if self.evidence is not None:
            logits = self.evidence.logits(encodings, logits)
        return logits.sigmoid()

    def _both(self, encodings: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.predictor.logits(encodings)
        if self.evidence is None:
            return logits.sigmoid(), logits.sigmoid()
        decisions, logits = self.evidence.scores_and_probabilities(encodings, logits)
        return decisions.sigmoid(), logits.sigmoid()

    def _take(self, columns: np.ndarray) -> DevicePool:
        if np.array_equal(columns, np.arange(len(self.predictor.embeddings))):
            return self
        chosen = torch.tensor(columns, device=self.predictor.embeddings.device)
        evidence = self.evidence
        return DevicePool(
            self.predictor.take(chosen),
            None if evidence is None else evidence.take(chosen),
        )

    def _on_device(self, encodings: np.ndarray) -> Iterator[Tensor]:
        device = self.predictor.embeddings.device
        for start in range(0, len(encodings), ROWS_AT_A_TIME):
            yield _moved(encodings[start : start + ROWS_AT_A_TIME], device)


def device_pool_of(
    owner: Any,
    predictor: PackedPredictor,
    evidence: Evidence | None,
    max_logit: float,
    device: str,
) -> DevicePool | None:
    """Return the copy of a pool on a device, made at the first request.

    Parameters
    ----------
    owner : object
        The pool, which is never changed.
    predictor : PackedPredictor
        Its predictor.
    evidence : Evidence or None
        Its packed evidence.
    max_logit : float
        Bound of what the evidence claims.
    device : str
        Device of the fit.

    Returns
    -------
    DevicePool or None
        None where the processor must do: there is no such device here, or the process
        was forked and cannot use that of its parent.
    """
    where = chosen_device(device)
    if where is None:
        return None
    return _copies.of(
        owner, where, lambda: DevicePool.of(predictor, evidence, max_logit, where)
    )


def chosen_device(device: str) -> torch.device | None:
    """Return where large blocks are computed; None for the processor, without torch."""
    where = inference_placement(device, "float32").device
    return None if where.type == "cpu" else where


_copies = KeptCopies[DevicePool]()


def _copied(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array for as long as its pool lives, in float32 whatever its type."""
    return torch.tensor(np.asarray(array), dtype=torch.float32, device=device)


def _moved(array: np.ndarray, device: torch.device) -> Tensor:
    """Move the encodings of a request; the array is shared on the CPU."""
    # torch warns of arrays that must not be written, such as those of memory maps.
    if not array.flags.writeable or array.dtype != np.float32:
        return _copied(array, device)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
