"""Chats that are written as a JSON text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skl_locus.datasets._readers._files import parse_json
from skl_locus.datasets._readers._values import RecordError, text_of_messages


def text_of_prompt(content: Any, name: str) -> str:
    """Return the text of a prompt, which may be a chat, also one written as JSON.

    A chat is read up to its last turn of the user: what stands behind it is the begin
    of the model's own answer.
    """
    turns = _turns_in(content) if isinstance(content, str) else content
    if isinstance(turns, list) and any(map(_is_of_user, turns)):
        last = max(place for place, turn in enumerate(turns) if _is_of_user(turn))
        return text_of_messages(turns[: last + 1], name)
    return text_of_messages(content, name)


def _turns_in(text: str) -> list | None:
    """Return the turns of a chat that is written as JSON, None for other texts."""
    if not text.lstrip().startswith("["):
        return None
    try:
        turns = parse_json(text.encode(errors="surrogatepass"))
    except (RecordError, UnicodeError):
        return None
    return turns if isinstance(turns, list) else None


def _is_of_user(turn: Any) -> bool:
    return isinstance(turn, Mapping) and turn.get("role") == "user"
