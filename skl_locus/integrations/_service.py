"""What a gateway needs around a fitted router, whatever the gateway."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from skl_locus._data.messages import Turns, text_of_request
from skl_locus._data.queries import text_key
from skl_locus._persistence.file_format import SavedFile
from skl_locus._persistence.saving import load
from skl_locus._utils.user_warnings import warn_user
from skl_locus.exceptions import ServiceWarning
from skl_locus.integrations._bounded_map import BoundedMap
from skl_locus.integrations._decision import (
    BUSY,
    ERROR,
    LOW_TRUST,
    NO_MODELS,
    NO_TEXT,
    TIMEOUT,
    Decision,
)
from skl_locus.integrations._judge import Judge, Judgement, Settings, keep_no_vectors
from skl_locus.integrations._router_file import RouterFile
from skl_locus.integrations._workers import Workers

VERSION_DIGITS = 12
"""Digits of a checksum that name a version: no two files share them by chance."""


@dataclass
class _Case:
    """One request on its way to a decision."""

    request: Any
    models: Collection | None
    session: str | None
    scope: Hashable
    request_id: str | None
    started: float = field(default_factory=time.perf_counter)
    decision: Decision | None = None
    _settling: Lock = field(default_factory=Lock, repr=False)

    def __post_init__(self) -> None:
        self.session = _short_name(self.session)
        self.request_id = _short_name(self.request_id)

    def settle(self, decision: Decision) -> bool:
        """Take a decision; whoever comes second, in whatever thread, gets False."""
        with self._settling:
            if self.decision is not None:
                return False
            self.decision = decision
            return True


class RoutingService:
    """Decide for requests of a gateway, one by one, by a fitted router.

    It reads the text of a request, chooses among the models at hand, keeps to the
    model of a session, and declines with a reason where it cannot judge: the gateway
    then goes on as it would without a router. Decisions are computed in threads of
    their own, so that an event loop is never blocked, and take a bounded time and
    memory whatever comes.

    Parameters
    ----------
    router : path or estimator
        File of :func:`skl_locus.save`, or a fitted router that reads texts, a
        `RouterPolicy`, or a pipeline that ends in a router. A file is loaded again
        when it changes.
    policy : mapping or RouterPolicy, default=None
        How a router decides: the arguments ``costs`` and ``cost_weight`` or
        ``min_correctness`` of its ``route``; or a policy that was fitted around this
        very router. A policy may also be passed in place of the router.
    encoder : str, path, SentenceTransformer or QueryEncoder, default=None
        Text model for the router in a file, as for :func:`skl_locus.load`.
    turns : Turns, default=None
        Which turns of a conversation are routed by, the defaults of `Turns` by default.
    min_trust : float, default=None
        Trust in a query below which the service declines (`LocusRouter` only).
    switch_margin, switch_cost : float, default=0.0
        What a change of the model of a session must gain, and what it costs, as for
        ``router.route``. A policy has parameters of its own for this.
    n_texts : int, default=10000
        Number of texts of which the vectors are kept.
    n_sessions : int, default=10000
        Number of sessions whose models are remembered.
    session_ttl : float, default=3600.0
        Seconds after its last request for which a session is remembered.
    check_every : float, default=5.0
        Seconds between two looks at the file; None loads it again only by `reload`.
    mmap : bool, default=False
        Whether arrays of the file are mapped, as for :func:`skl_locus.load`.
    n_threads : int, default=2
        Number of threads that compute decisions.
    max_waiting : int, default=100
        Number of requests that are decided or wait at the same time; the service
        declines the others at once. It declines all of them while every thread is at
        a decision that has taken longer than ``timeout``.
    timeout : float, default=2.0
        Seconds after which the service declines; None waits for ever.
    observers : iterable of Observer, default=()
        What decisions are told to, such as a log.

    Attributes
    ----------
    models : list of labels
        Models of the router in service that can be chosen.
    router_version : str or None
        Version of the router in service: the first digits of the checksum of its file.
    counts : dict of str to int
        Numbers of what has happened since the start: "decided", the reasons of
        declined requests, "reloads", "reload_failures", "observer_errors".

    Examples
    --------
    >>> from sklearn.decomposition import TruncatedSVD
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> import pandas as pd
    >>> from skl_locus import KMeansRouter
    >>> from skl_locus.integrations import RoutingService
    >>> texts = ["What is 7 * 8?", "What is 6 * 9?", "Who wrote Faust?", "Who is Ada?"]
    >>> log = pd.DataFrame({
    ...     "model": ["maths"] * 4 + ["letters"] * 4,
    ...     "query": texts * 2,
    ...     "score": [1, 1, 0, 0, 0, 0, 1, 1],
    ... })
    >>> encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0))
    >>> router = KMeansRouter(2, encoder=encoder, random_state=0)
    >>> service = RoutingService(router.fit(log, log["score"]))
    >>> service.decide_sync("Who wrote Emma?").chosen
    'letters'
    >>> images = [{"role": "user", "content": [{"type": "image_url"}]}]
    >>> service.decide_sync(images).declined
    'no_text'
    >>> service.close()
    """

    def __init__(
        self,
        router: Any,
        *,
        policy: Any = None,
        encoder: Any = None,
        turns: Turns | None = None,
        min_trust: float | None = None,
        switch_margin: float = 0.0,
        switch_cost: float = 0.0,
        n_texts: int = 10_000,
        n_sessions: int = 10_000,
        session_ttl: float = 3600.0,
        check_every: float | None = 5.0,
        mmap: bool = False,
        n_threads: int = 2,
        max_waiting: int = 100,
        timeout: float | None = 2.0,
        observers: Iterable = (),
    ) -> None:
        settings = Settings(policy, min_trust, switch_margin, switch_cost, n_texts)
        self._turns = turns
        self._timeout = timeout
        self._observers = tuple(observers)
        self._counts: Counter[str] = Counter()
        self._counting = Lock()
        self._warned: set[str] = set()
        self._sessions: BoundedMap[Any] = BoundedMap(n_sessions, session_ttl)
        self._workers = Workers(n_threads, max_waiting)
        # Declined requests are told to observers here, where no decisions wait.
        self._heralds = Workers(1, max_waiting)
        self._file: RouterFile | None = None
        if isinstance(router, (str, os.PathLike)):

            def load_judge() -> Judge:
                with SavedFile(router) as file:
                    version = file.checksum[:VERSION_DIGITS]
                estimator = load(router, encoder=encoder, mmap=mmap)
                if n_texts:
                    keep_no_vectors(estimator)
                return Judge(estimator, settings, version)

            self._file = RouterFile(
                router, load_judge, check_every, self._note_failure, self._note_reload
            )
        else:
            if encoder is not None:
                raise ValueError(
                    "encoder= is for a router in a file; an estimator has its own."
                )
            self._fixed = Judge(router, settings)
        self._announce_pool()

    @property
    def models(self) -> list:
        """Models of the router in service that can be chosen."""
        return list(self._judge.labels.values())

    @property
    def router_version(self) -> str | None:
        """Version of the router in service, None without a file."""
        return self._judge.version

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of what has happened since the start."""
        with self._counting:
            return dict(self._counts)

    def label_of(self, name: Any) -> Any:
        """Return the label of a model that has a name as text, None if there is none.

        Parameters
        ----------
        name : object
            Name of a model, in whatever type the gateway has it.

        Returns
        -------
        label or None
            The label in the router.
        """
        return self._judge.labels.get(str(name))

    async def decide(
        self,
        request: Any,
        *,
        models: Collection | None = None,
        session: str | None = None,
        scope: Hashable = None,
        request_id: str | None = None,
    ) -> Decision:
        """Decide for a request, without blocking the event loop.

        Parameters
        ----------
        request : str, list of messages, or mapping
            A text, the messages of a chat, or the body of a request, as for
            `text_of_request`.
        models : collection of labels, default=None
            Models at hand, all of the router by default. Those that the router does
            not know are not chosen.
        session : str, default=None
            Name of the session.
        scope : hashable, default=None
            To whom the session belongs, such as a key of the API: equal names of
            sessions in different scopes are different sessions.
        request_id : str, default=None
            Name of the request, for logs.

        Returns
        -------
        Decision
            The decision. It never raises an error for a request.
        """
        case = _Case(request, models, session, scope, request_id)
        future = self._submit(case)
        if future is None:
            return self._tell_apart(self._declined(case, BUSY))
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait([waiting], timeout=self._timeout)
        return waiting.result() if done else self._late(case, future)

    def decide_sync(
        self,
        request: Any,
        *,
        models: Collection | None = None,
        session: str | None = None,
        scope: Hashable = None,
        request_id: str | None = None,
    ) -> Decision:
        """Decide for a request, waiting for the decision; see `decide`.

        Parameters
        ----------
        request, models, session, scope, request_id
            As for `decide`.

        Returns
        -------
        Decision
            The decision.
        """
        case = _Case(request, models, session, scope, request_id)
        future = self._submit(case)
        if future is None:
            return self._tell_apart(self._declined(case, BUSY))
        try:
            return future.result(self._timeout)
        except TimeoutError:
            return self._late(case, future)

    def reload(self) -> bool:
        """Load the file now, if it has changed.

        Returns
        -------
        bool
            Whether a new router is in service. If its file cannot be loaded, the old
            one stays, and "reload_failures" of `counts` grows.
        """
        return self._file is not None and self._file.check()

    def note_error(self, error: Exception) -> None:
        """Count an error of a gateway's hook as one of the service, and warn once.

        Parameters
        ----------
        error : Exception
            The error, which the request survived.
        """
        self._add(ERROR)
        self._warn_once(f"A request could not be judged: {error!r:.200}.")

    def close(self) -> None:
        """Finish the decisions under way, and end the threads.

        What hangs is left behind after a few seconds. Later requests are declined as
        "busy".
        """
        self._workers.close()
        self._heralds.close()

    @property
    def _judge(self) -> Judge:
        return self._fixed if self._file is None else self._file.judge

    def _submit(self, case: _Case) -> Future | None:
        if self._file is not None:
            self._file.check_soon()
        return self._workers.submit(self._work, case)

    def _work(self, case: _Case) -> Decision:
        """Decide in a thread; what comes too late is neither told nor remembered."""
        try:
            decision = self._decided(case)
        except Exception as error:
            self._warn_once(f"A request could not be judged: {error!r:.200}.")
            decision = self._declined(case, ERROR)
        if case.settle(decision):
            if decision.chosen is not None and case.session is not None:
                self._sessions.set((case.scope, case.session), decision.chosen)
            self._count(decision)
            self._tell(decision)
        return decision

    def _late(self, case: _Case, future: Future) -> Decision:
        """Return what a request gets that can wait no longer."""
        declined = self._declined(case, TIMEOUT)
        if case.settle(declined):
            self._workers.give_up(future)
            return self._tell_apart(declined)
        # It was decided in time, and an observer keeps the thread.
        assert case.decision is not None
        return case.decision

    def _decided(self, case: _Case) -> Decision:
        # One judge for all of a request, whatever is put in service meanwhile.
        judge = self._judge
        text = text_of_request(case.request, self._turns)
        if text is None:
            return self._declined(case, NO_TEXT, judge=judge)
        digest = text_key(text).hex()
        labels = _known(judge, case.models)
        if not labels:
            return self._declined(case, NO_MODELS, digest, judge)
        incumbent = None
        if case.session is not None:
            incumbent = self._sessions.get((case.scope, case.session))
        judgement = judge.judge(text, labels, incumbent)
        if not judge.trusts(judgement):
            return self._declined(case, LOW_TRUST, digest, judge, judgement)
        chosen, probability = next(iter(judgement.probabilities.items()))
        return Decision(
            **self._described(case, digest, judge, judgement),
            chosen=chosen,
            probability=probability,
            cost=judgement.cost,
            reached=judgement.reached,
        )

    def _declined(
        self,
        case: _Case,
        reason: str,
        digest: str | None = None,
        judge: Judge | None = None,
        judgement: Judgement | None = None,
    ) -> Decision:
        judge = self._judge if judge is None else judge
        described = self._described(case, digest, judge, judgement)
        return Decision(**described, declined=reason)

    def _described(
        self,
        case: _Case,
        digest: str | None,
        judge: Judge,
        judgement: Judgement | None,
    ) -> dict[str, Any]:
        """Return what decisions have in common, declined or not."""
        return {
            "time": datetime.now(UTC),
            "duration": time.perf_counter() - case.started,
            "request_id": case.request_id,
            "session": case.session,
            "digest": digest,
            "alternatives": {} if judgement is None else judgement.probabilities,
            "trust": None if judgement is None else judgement.trust,
            "router_version": judge.version,
        }

    def _tell_apart(self, decision: Decision) -> Decision:
        """Tell observers in another thread, since they may write to a disk."""
        self._count(decision)
        # In a flood that nobody keeps up with, counting is all that is left.
        self._heralds.submit(self._tell, decision)
        return decision

    def _tell(self, decision: Decision) -> None:
        for observer in self._observers:
            self._call(observer.observe, decision)

    def _count(self, decision: Decision) -> None:
        self._add(decision.declined or "decided")

    def _add(self, name: str) -> None:
        with self._counting:
            self._counts[name] += 1

    def _announce_pool(self) -> None:
        judge = self._judge
        for observer in self._observers:
            told = getattr(observer, "observe_pool", None)
            if told is not None:
                self._call(told, len(judge.labels), judge.version)

    def _note_reload(self) -> None:
        self._add("reloads")
        self._announce_pool()

    def _note_failure(self, error: Exception) -> None:
        self._add("reload_failures")
        self._warn_once(
            "The new file of the router could not be loaded, and the old router stays "
            f"in service: {error!s:.300}"
        )
        for observer in self._observers:
            told = getattr(observer, "observe_reload_failure", None)
            if told is not None:
                self._call(told, error)

    def _call(self, method: Any, *args: Any) -> None:
        """Call a method of an observer, whose errors are not those of requests."""
        try:
            method(*args)
        except Exception as error:
            self._add("observer_errors")
            self._warn_once(
                f"An observer raised an error and missed a decision: {error!r:.200}."
            )

    def _warn_once(self, message: str) -> None:
        """Warn of each thing once; no warning may fail a request."""
        with self._counting:
            if message in self._warned or len(self._warned) >= MAX_WARNINGS:
                return
            self._warned.add(message)
        try:
            warn_user(message, ServiceWarning)
        except ServiceWarning:
            # Somebody has made warnings errors; there is nobody here to catch it.
            return


MAX_WARNINGS = 100
"""Different warnings that are given; what a request says may be part of one."""


MAX_NAME = 200
"""Characters of the name of a session or a request that are kept as they are. Clients
choose these names, and thousands of them are remembered and logged."""


def _short_name(name: Any) -> str | None:
    """Return a name as text, with a digest in place of what is too much of it."""
    if name is None:
        return None
    text = str(name)
    return text if len(text) <= MAX_NAME else text[:100] + "~" + text_key(text).hex()


def _known(judge: Judge, models: Collection | None) -> list:
    """Return the labels of models at hand that the router knows, each once."""
    if models is None:
        return list(judge.labels.values())
    if isinstance(models, str):  # of which the letters are no models
        models = [models]
    found = (judge.labels.get(str(model)) for model in models)
    return list(dict.fromkeys(label for label in found if label is not None))
