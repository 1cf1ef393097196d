"""The text of chat messages in the forms of several APIs, and which turns are used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

NOT_WRITTEN = frozenset(
    {
        "tool_use",
        "tool_result",
        "tool_call",
        "function_call",
        "function_call_output",
        "thinking",
        "redacted_thinking",
        "reasoning",
    }
)
"""Types of parts that may hold text which neither the user nor the model has written to
the other: calls of tools and their results, and thoughts."""

SPEAKERS = ("user", "assistant")
"""Roles whose turns are a conversation; tools and instructions are not."""


@dataclass(frozen=True)
class Turns:
    """Which turns of a conversation make the text that is routed by.

    The last turn of the user is always used. Where it is short, such as "yes" after a
    plan, it says little about what is asked for, and the turns before it, of the user
    and of the assistant, are put in front of it. Turns without text, such as images
    and results of tools, are no turns.

    Parameters
    ----------
    short : int, default=80
        Number of characters below which the last turn of the user is short; 0 never
        uses earlier turns.
    earlier : int, default=3
        Number of earlier turns that are put in front of a short one, at most.
    earlier_characters : int, default=1000
        Number of characters that are used of each earlier turn, the first ones.
    characters : int, default=32000
        Number of characters that are used of the last turn, the first ones. It bounds
        the time that encoding takes.
    system : bool, default=False
        Whether the system prompt (instructions) is put in front of everything. It is
        mostly the same for all requests of an application, and would hide what
        differs between them.

    Examples
    --------
    >>> from skl_locus.integrations import Turns, text_of_request
    >>> messages = [
    ...     {"role": "user", "content": "Plan the move of our database."},
    ...     {"role": "assistant", "content": "1. Copy. 2. Switch. Shall I begin?"},
    ...     {"role": "user", "content": "yes"},
    ... ]
    >>> print(text_of_request(messages))
    Plan the move of our database.
    1. Copy. 2. Switch. Shall I begin?
    yes
    >>> print(text_of_request(messages, Turns(short=0)))
    yes
    """

    short: int = 80
    earlier: int = 3
    earlier_characters: int = 1_000
    characters: int = 32_000
    system: bool = False

    def __post_init__(self) -> None:
        for name in ("short", "earlier", "earlier_characters", "characters"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} must be an integer of at least 0: {value!r}.")
        if self.characters == 0:
            raise ValueError("characters must be at least 1.")


def text_of_request(request: Any, turns: Turns | None = None) -> str | None:
    """Return the text to route a request by.

    Parameters
    ----------
    request : str, list of messages, or mapping
        A text; the messages of a chat in the form of OpenAI's chat completions or of
        Anthropic's messages; the input items of OpenAI's responses; or the body of a
        request with "messages", "input" or "prompt", and perhaps "system" or
        "instructions".
    turns : Turns, default=None
        Which turns are used; the defaults of `Turns` by default.

    Returns
    -------
    str or None
        The text; None if the request has none, such as a request of images alone.
    """
    turns = Turns() if turns is None else turns
    backwards = _spoken_backwards(_content_of(request))
    # What stands behind the last turn of the user is the begin of an answer.
    last = next((text for role, text in backwards if role == "user"), None)
    if last is None:
        return None
    parts = [last[: turns.characters]]
    if len(last) < turns.short:
        before = [text for _, text in islice(backwards, turns.earlier)]
        parts = [text[: turns.earlier_characters] for text in reversed(before)] + parts
    if turns.system:
        parts = [*_instructions(request), *parts]
    return "\n".join(parts)


def message_text(message: Any, skipped: Collection[str] = ()) -> str:
    """Return the text of a message or of a part of one; "" where there is none.

    Parameters
    ----------
    message : str, mapping or object
        A text, a message whose content is a text or a list of parts, or a part.
    skipped : collection of str, default=()
        Types of parts that are left out.

    Returns
    -------
    str
        Texts of the parts, one per line.
    """
    if isinstance(message, str):
        return message
    message = _as_mapping(message)
    # As text, since a request can have anything as the type of a part.
    if message is None or str(message.get("type")) in skipped:
        return ""
    content = message.get("content", message.get("text", ""))
    if isinstance(content, list):
        parts = (message_text(part, skipped) for part in content)
        return "\n".join(filter(None, parts))
    return content if isinstance(content, str) else ""


def _content_of(request: Any) -> Any:
    """Return the messages in the body of a request, or what else was passed."""
    body = _as_mapping(request)
    if body is None:
        return request
    for name in ("messages", "input", "prompt"):
        if body.get(name):
            return body[name]
    return None


def _spoken_backwards(content: Any) -> Iterator[tuple[str, str]]:
    """Yield the role and the text of each turn that has text, the last one first."""
    # One by one, since conversations are long and few of their turns are read.
    for message in reversed(_listed(content)):
        role = "user" if isinstance(message, str) else _role_of(message)
        text = message_text(message, NOT_WRITTEN)
        if role in SPEAKERS and text.strip():
            yield role, text


def _listed(content: Any) -> list | tuple:
    if isinstance(content, str):
        return [content]
    return content if isinstance(content, list | tuple) else ()


def _role_of(message: Any) -> str | None:
    mapping = _as_mapping(message)
    return None if mapping is None else mapping.get("role")


def _instructions(request: Any) -> Iterator[str]:
    """Yield the system prompts of a request, wherever they stand."""
    body = _as_mapping(request)
    if body is not None:
        for name in ("system", "instructions"):
            # Anthropic's may be a list of parts, as the content of a message is.
            yield from filter(None, [message_text({"content": body.get(name)})])
    for message in _listed(_content_of(request)):
        if _role_of(message) in ("system", "developer"):
            yield from filter(None, [message_text(message, NOT_WRITTEN)])


def _as_mapping(value: Any) -> Mapping[str, Any] | None:
    """Return a message as a mapping; answers of clients are objects of pydantic."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else None
