"""A web server on this machine that serves one file, as badly as it is told to."""

import re
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TAG = '"version-1"'

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answer each request by the next of the server's answers, the last for ever."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        answer = server.answers[min(len(server.requests), len(server.answers)) - 1]
        self.close_connection = True
        answer(self)

    def log_message(self, *arguments):
        pass

    @property
    def asked(self):
        """First byte that the client wants."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match else 0

    def send(self, body, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", len(body) if length is None else length)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(content, *answers):
    """Serve a file at ``server.url``; ``server.requests`` are their headers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.content, server.answers, server.requests = content, answers, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def whole(handler):
    """Ignore that only a part was asked for."""
    handler.send(handler.server.content, ETag=TAG)


def rest(handler, tag=TAG):
    """Send what is asked for, as a good server does."""
    content, start = handler.server.content, handler.asked
    if handler.headers.get("If-Range", tag) != tag or not start:
        handler.send(content, ETag=tag)
    elif start >= len(content):
        handler.send(b"", 416, Content_Range=f"bytes */{len(content)}")
    else:
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send(content[start:], 206, Content_Range=place, ETag=tag)


def cut(size, tag=TAG):
    """Send some bytes of what was promised, then hang up."""

    def answer(handler):
        content, start = handler.server.content, handler.asked
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers = {"ETag": tag} if tag else {}
        if start:
            headers["Content_Range"] = place
        promised = len(content) - start
        sent = content[start : start + size]
        handler.send(sent, 206 if start else 200, promised, **headers)

    return answer


def chunked_and_cut(size):
    """Send one chunk and never the end."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("ETag", TAG)
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (size, handler.server.content[:size]))

    return answer


def status(code):
    return lambda handler: handler.send(b"sorry", code)


def other(content):
    """Serve other bytes."""
    return lambda handler: handler.send(content, ETag=TAG)


def too_short_a_promise(handler):
    """Promise less than there is."""
    handler.send(handler.server.content, length=5)


def wrong_part(handler):
    """Send the last bytes, whatever was asked for."""
    content = handler.server.content
    place = f"bytes {len(content) - 3}-{len(content) - 1}/{len(content)}"
    handler.send(content[-3:], 206, Content_Range=place)


def rest_of_another_version(handler):
    """Send a part without a look at the condition that came with the request."""
    content, start = handler.server.content, handler.asked
    place = f"bytes {start}-{len(content) - 1}/{len(content)}"
    headers = {"Content_Range": place, "ETag": '"version-2"'}
    handler.send(b"x" * (len(content) - start), 206, **headers)


def part_without_place(handler):
    """Send a part without saying which."""
    handler.send(handler.server.content[-3:], 206)


def elsewhere(handler):
    """Send the client to another address, which has what it asks for."""
    if handler.path.startswith("/moved"):
        rest(handler)
    else:
        handler.send(b"", 302, Location="/moved/table.csv")


def hang_up(handler):
    """Close the connection without a word."""
