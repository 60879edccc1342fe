"""A scripted HTTP server on loopback: the real client libraries talk to it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

Request: TypeAlias = tuple[str, str, dict[str, list[str]], dict[str, str], bytes]
"""(method, path, query, headers, body)."""


class Script:
    """What the server answers, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[tuple[int, object]] = []
        """(status, JSON or bytes), used up one a request; the last one stays."""
        self.requests: list[Request] = []

    def says(self, status: int, answer: object) -> None:
        self.answers.append((status, answer))

    @property
    def last(self) -> Request:
        return self.requests[-1]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = Script()
        self.script.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def serve(self) -> None:
        script = self.server.script
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script.requests.append((self.command, parts.path, parse_qs(parts.query), dict(self.headers), body))
        status, answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the standard library looks for these

    def log_message(self, *_args: object) -> None:
        pass
