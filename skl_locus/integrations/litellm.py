"""A router as a hook of LiteLLM, in its Router and in its proxy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from skl_locus.integrations._service import RoutingService

try:
    from litellm.integrations.custom_logger import CustomLogger
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "litellm":
        raise
    raise ModuleNotFoundError(
        "skl_locus.integrations.litellm needs LiteLLM, which is not installed: "
        "pip install 'skl-locus[litellm]'",
        name="litellm",
    ) from error

METADATA = ("litellm_metadata", "metadata")
"""Where LiteLLM puts metadata of a request; which one depends on the endpoint."""

FAILED = ("_excluded_deployment_ids", "_retry_skipped_deployment_ids")
"""Lists of deployments that LiteLLM no longer tries for a request."""

TRIED = "skl_locus_failed_deployments"
"""Entry of the metadata for deployments that failed in this request. LiteLLM remembers
only the last four failures itself."""

GENERATED = "litellm_session_id_generated"
"""Entry of the metadata that marks a session that the proxy has made up."""


class RouterHook(CustomLogger):
    """Keep the best of the healthy deployments of a model group, by a fitted router.

    LiteLLM asks the hook before each attempt of an asynchronous request, and sends the
    attempt to one of the deployments that the hook keeps: those of the model that the
    router prefers. Deployments in cooldown are not among those it is asked about, and
    deployments that failed in the same request are left out by the hook, so that
    retries go to the next best model. Where the hook cannot judge, all deployments are
    kept, and LiteLLM chooses by itself.

    Parameters
    ----------
    router : path, estimator or RoutingService
        File of :func:`skl_locus.save`, a fitted router, policy or pipeline, or a
        service that other parts of a gateway use as well.
    policy : mapping or RouterPolicy, default=None
        How a router decides, as for `~skl_locus.integrations.RoutingService`.
    labels : mapping of str to label, default=None
        Label in the router of a deployment, by its ``model_info.id``, its
        ``litellm_params.model``, with or without the provider in front, or its
        ``model_name``. Deployments that it does not name, and all without it, have
        the label that is equal to one of these, looked up in this order.
    groups : collection of str, default=None
        Model groups (``model_name``) to choose in. By default, those with deployments
        of at least two models of the router.
    **service : dict
        Parameters of `~skl_locus.integrations.RoutingService`, such as ``encoder``,
        ``min_trust``, ``switch_margin`` and ``observers``.

    Attributes
    ----------
    service : RoutingService
        What decides; its ``counts`` say how often it declined, and why.

    Notes
    -----
    LiteLLM does not ask hooks in synchronous calls (``Router.completion``); the proxy
    makes none.

    Sessions are those that LiteLLM knows: ``session_id`` in the metadata of a request,
    which the proxy fills from headers such as ``x-litellm-session-id``. Sessions of
    different keys of the proxy, and of different groups, are different ones.

    Examples
    --------
    A module beside the configuration of the proxy, which names it as
    ``callbacks: routing.hook``::

        from skl_locus.integrations.litellm import RouterHook

        hook = RouterHook("router.locus")
    """

    def __init__(
        self,
        router: Any,
        policy: Any = None,
        *,
        labels: Mapping[str, Any] | None = None,
        groups: Collection[str] | None = None,
        **service: Any,
    ) -> None:
        super().__init__()
        if isinstance(groups, str):
            raise ValueError(f"groups must be a collection of names; pass [{groups!r}]")
        if isinstance(router, RoutingService):
            if policy is not None or service:
                raise ValueError(
                    "A RoutingService has its parameters already; pass them to it."
                )
            self.service = router
        else:
            self.service = RoutingService(router, policy=policy, **service)
        self._given = {} if labels is None else {str(k): v for k, v in labels.items()}
        self._groups = None if groups is None else frozenset(groups)
        self._routed: set[str] = set()
        unknown = [v for v in self._given.values() if self.service.label_of(v) is None]
        if unknown:
            raise ValueError(
                f"labels has the model {unknown[0]!r}, which the router does not have."
            )

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list,
        messages: list | None,
        request_kwargs: dict | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict]:
        """Keep the best deployments, as LiteLLM asks before each attempt.

        Parameters
        ----------
        model : str
            Model group.
        healthy_deployments : list of dict
            Deployments that are not in cooldown.
        messages : list or None
            Messages of a chat.
        request_kwargs : dict, default=None
            Everything else in the request.
        parent_otel_span : object, default=None
            Ignored.

        Returns
        -------
        list of dict
            Some of the deployments, at least one of them if there are any.
        """
        request = request_kwargs or {}
        try:
            return await self._best_of(healthy_deployments, model, messages, request)
        except Exception as error:
            # LiteLLM would take it for a failure of the request.
            self.service.note_error(error)
            return healthy_deployments

    async def _best_of(
        self, deployments: list, group: str, messages: list | None, request: dict
    ) -> list[dict]:
        labels = [self._label_of(deployment) for deployment in deployments]
        if not self._is_routed(group, labels):
            return deployments
        failed = _failed_ids(request)
        left = [
            (deployment, label)
            for deployment, label in zip(deployments, labels, strict=True)
            if _id_of(deployment) not in failed
        ]
        # Where all have failed, there is nothing to lose.
        left = left or list(zip(deployments, labels, strict=True))
        decision = await self.service.decide(
            {**request, "messages": messages} if messages else request,
            models={label for _, label in left if label is not None},
            session=_session_of(request),
            scope=(_metadata_entry(request, "user_api_key_hash"), group),
            request_id=_request_id_of(request),
        )
        if decision.chosen is None:
            return [deployment for deployment, _ in left]
        return [deployment for deployment, label in left if label == decision.chosen]

    def _is_routed(self, group: str, labels: list) -> bool:
        """Whether to choose in a group, which remains so while models are down."""
        if self._groups is not None:
            return group in self._groups
        if len({label for label in labels if label is not None}) >= 2:
            self._routed.add(group)
        return group in self._routed

    def _label_of(self, deployment: Mapping[str, Any]) -> Any:
        names = list(_names_of(deployment))
        given = next((self._given[name] for name in names if name in self._given), None)
        if given is not None:
            # A router that was loaded since may not have it any more.
            return self.service.label_of(given)
        labels = map(self.service.label_of, names)
        return next((label for label in labels if label is not None), None)


def _names_of(deployment: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a deployment, the most special one first."""
    identity = _id_of(deployment)
    if identity is not None:
        yield identity
    model = (deployment.get("litellm_params") or {}).get("model")
    if isinstance(model, str):
        yield model
        _, slash, bare = model.partition("/")
        if slash:
            yield bare
    group = deployment.get("model_name")
    if isinstance(group, str):
        yield group


def _id_of(deployment: Mapping[str, Any]) -> str | None:
    identity = (deployment.get("model_info") or {}).get("id")
    return None if identity is None else str(identity)


def _failed_ids(request: dict) -> set[str]:
    """Return the deployments that failed in this request.

    LiteLLM puts a deployment into cooldown after several failures only. Until then, a
    retry is offered the one that has just failed, and since equal texts have equal
    routes, it would be chosen again until there are no retries left.
    """
    failed = {str(identity) for name in FAILED for identity in request.get(name) or ()}
    for metadata in _metadata_of(request):
        attempts = metadata.get("previous_models")
        if not attempts:
            # The first attempt; an entry would be of another request with the same
            # metadata, which callers may use again.
            metadata.pop(TRIED, None)
            continue
        ids = (attempt.get("deployment_id") for attempt in attempts)
        now = {str(identity) for identity in ids if identity is not None}
        metadata[TRIED] = sorted(now.union(metadata.get(TRIED) or ()))
        failed.update(metadata[TRIED])
    return failed


def _metadata_of(request: Mapping[str, Any]) -> Iterator[dict]:
    for name in METADATA:
        if isinstance(request.get(name), dict):
            yield request[name]


def _metadata_entry(request: Mapping[str, Any], name: str) -> str | None:
    entries = (metadata.get(name) for metadata in _metadata_of(request))
    found = next((entry for entry in entries if entry is not None), None)
    return None if found is None else str(found)


def _session_of(request: Mapping[str, Any]) -> str | None:
    for metadata in _metadata_of(request):
        session = metadata.get("session_id")
        if session is not None and not metadata.get(GENERATED):
            return str(session)
    session = request.get("litellm_session_id")
    return None if session is None else str(session)


def _request_id_of(request: Mapping[str, Any]) -> str | None:
    identity = request.get("litellm_call_id") or request.get("litellm_trace_id")
    return None if identity is None else str(identity)
