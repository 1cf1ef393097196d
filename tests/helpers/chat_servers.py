"""Local servers that answer like a model behind an API, fail, hang and recover."""

import json
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatHandler(BaseHTTPRequestHandler):
    """Answer chats with the name of the server, so that it is seen who answered."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        server.requests.append(body)
        if server.behaviour == "hang":
            server.released.wait()
            self.close_connection = True
        elif server.behaviour == "fail":
            self.send_json({"error": {"message": "down", "type": "server"}}, 500)
        elif self.path.endswith("/responses"):
            self.send_response_object(body)
        else:
            self.send_completion(body)

    def log_message(self, *arguments):
        pass

    def send_completion(self, body):
        whole = {"id": "chat-1", "created": 1, "model": body.get("model")}
        if not body.get("stream"):
            message = {"role": "assistant", "content": self.server.name}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            whole |= {"object": "chat.completion", "choices": [choice], "usage": usage}
            return self.send_json(whole)
        whole["object"] = "chat.completion.chunk"
        deltas = [{"role": "assistant", "content": self.server.name}, {}]
        ends = [None, "stop"]
        events = [
            whole | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
            for delta, end in zip(deltas, ends, strict=True)
        ]
        return self.send_events([*map(json.dumps, events), "[DONE]"])

    def send_response_object(self, body):
        part = {"type": "output_text", "text": self.server.name, "annotations": []}
        item = {"type": "message", "id": "msg_1", "status": "completed"}
        item |= {"role": "assistant", "content": [part]}
        whole = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": body.get("model"),
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        }
        if not body.get("stream"):
            return self.send_json(whole)
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events = [
            {"type": "response.created", "response": whole | {"output": []}},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": item | {"content": [], "status": "in_progress"},
            },
            {"type": "response.output_text.delta", "delta": part["text"], **place},
            {"type": "response.output_text.done", "text": part["text"], **place},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        return self.send_events(
            [json.dumps({**e, "sequence_number": n}) for n, e in enumerate(events)]
        )

    def send_json(self, content, status=200):
        self.send_bytes(json.dumps(content).encode(), "application/json", status)

    def send_events(self, events):
        text = "".join(f"data: {event}\n\n" for event in events)
        self.send_bytes(text.encode(), "text/event-stream")

    def send_bytes(self, body, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)


class ChatServer(ThreadingHTTPServer):
    """A model behind an API on this machine.

    ``behaviour`` is "answer", "fail" or "hang", and may be set at any time;
    ``requests`` are the bodies that came.
    """

    daemon_threads = True
    # Many connections at once must wait, not be refused.
    request_queue_size = 128

    def __init__(self, name):
        super().__init__(("127.0.0.1", 0), ChatHandler)
        self.name, self.behaviour, self.requests = name, "answer", []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """Say nothing of clients that no longer wait."""


@contextmanager
def chat_servers(names):
    """Run a server for each name; yield them by name."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_running(ChatServer(name))) for name in names}


@contextmanager
def _running(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
