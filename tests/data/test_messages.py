"""One text to route by, out of chats in the forms of several APIs."""

from types import SimpleNamespace

import pytest

from skl_locus._data.messages import Turns, message_text, text_of_request

PLAN = "Here is a plan in five steps. " * 10

CHAT = [
    {"role": "system", "content": "You are kind."},
    {"role": "user", "content": "Plan the migration of our database."},
    {"role": "assistant", "content": PLAN},
    {"role": "user", "content": "yes"},
]

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_a_text_is_its_own_text():
    assert text_of_request("What is 7 * 8?") == "What is 7 * 8?"


def test_a_long_turn_is_routed_alone():
    question = "How do I rotate a list of numbers by k places? " * 3
    chat = [*CHAT, {"role": "user", "content": question}]
    assert text_of_request(chat) == question


def test_yes_after_a_plan_is_not_routed_alone():
    text = text_of_request(CHAT)
    assert text == f"Plan the migration of our database.\n{PLAN}\nyes"


def test_only_some_earlier_turns_are_used_and_only_parts_of_them():
    old = [{"role": "user", "content": f"turn {n}"} for n in range(9)]
    chat = [*old, {"role": "assistant", "content": "x" * 5_000}, CHAT[-1]]
    text = text_of_request(chat, Turns(earlier=2, earlier_characters=10))
    assert text == "turn 8\n" + "x" * 10 + "\nyes"
    assert text_of_request(chat, Turns(earlier=0)) == "yes"
    assert text_of_request(chat, Turns(short=0)) == "yes"
    assert text_of_request(chat, Turns(short=3)) == "yes"
    assert text_of_request(chat, Turns(short=4)).endswith("x\nyes")


def test_a_long_turn_is_cut():
    assert text_of_request("abc" * 20, Turns(characters=4)) == "abca"
    assert len(text_of_request("x" * 100_000)) == 32_000


def test_what_the_assistant_began_behind_the_last_user_is_left_out():
    chat = [*CHAT, {"role": "assistant", "content": "{"}]
    assert text_of_request(chat) == text_of_request(CHAT)


def test_parts_of_openai():
    parts = [{"type": "text", "text": "What is"}, IMAGE, {"type": "text", "text": "?"}]
    assert text_of_request([{"role": "user", "content": parts}]) == "What is\n?"


def test_blocks_of_anthropic():
    body = {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Count the files."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "text": "secret"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "name": "ls", "input": {"content": "no"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "content": "a.py b.py"}],
            },
        ],
    }
    # The result of a tool is no turn of the user: its request is still the last one.
    assert text_of_request(body) == "Count the files."
    assert text_of_request(body, Turns(system=True)) == "Be brief.\nCount the files."


def test_items_of_the_responses_api():
    asked = {"role": "user", "content": [{"type": "input_text", "text": "Two plus 2?"}]}
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "4"}],
    }
    call = {"type": "function_call", "name": "add", "arguments": "{}"}
    output = {"type": "function_call_output", "output": "4"}
    why = {"role": "user", "content": "Why?"}
    items = [asked, call, output, said, why]
    assert text_of_request({"input": items}) == "Two plus 2?\n4\nWhy?"
    body = {"input": "Two plus 2?", "instructions": "Be brief."}
    assert text_of_request(body) == "Two plus 2?"
    assert text_of_request(body, Turns(system=True)) == "Be brief.\nTwo plus 2?"


def test_system_prompts_in_messages():
    assert text_of_request(CHAT[:2]) == "Plan the migration of our database."
    text = text_of_request(CHAT[:2], Turns(system=True))
    assert text == "You are kind.\nPlan the migration of our database."


def test_prompts_of_completions():
    assert text_of_request({"prompt": "Once upon"}) == "Once upon"
    assert text_of_request({"prompt": ["Once upon", "a time"]}) == "Once upon\na time"


def test_objects_of_clients_are_read_as_mappings():
    answer = {"role": "assistant", "content": "I can.", "tool_calls": None}
    chat = [
        {"role": "user", "content": "Can you?"},
        SimpleNamespace(model_dump=lambda: answer),
        {"role": "user", "content": "Do."},
    ]
    assert text_of_request(chat) == "Can you?\nI can.\nDo."


@pytest.mark.parametrize(
    "request_",
    [
        None,
        "",
        " \n",
        7,
        [],
        {},
        [{"role": "user", "content": [IMAGE]}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": {"text": "not a content"}}],
        [{"role": "user"}, 7, None, [], ["text"]],
        [{"role": "tool", "content": "4"}, {"role": ["user"], "content": "x"}],
        [{"role": "system", "content": "You are kind."}],
        [{"role": "user", "content": [{"type": [], "text": 7}, {"type": {}}]}],
        {"messages": None, "input": [[1, 2], [3]]},
        {"messages": "", "model": "auto"},
    ],
)
def test_there_is_no_text(request_):
    assert text_of_request(request_) is None
    assert text_of_request(request_, Turns(short=0, earlier=0)) is None


def test_readers_of_logs_keep_all_parts():
    result = {"type": "tool_result", "content": "a.py"}
    assert message_text({"content": [result, "b"]}) == "a.py\nb"
    assert message_text({"content": [result, "b"]}, {"tool_result"}) == "b"


@pytest.mark.parametrize("name", ["short", "earlier", "characters"])
def test_numbers_of_characters_are_checked(name):
    with pytest.raises(ValueError, match=name):
        Turns(**{name: -1})
    with pytest.raises(ValueError, match=name):
        Turns(**{name: 1.5})
    with pytest.raises(ValueError, match="characters"):
        Turns(characters=0)
