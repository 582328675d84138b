"""`ChatServer`: a small server on loopback that speaks OpenAI's chat protocol and says what a test tells it to.

It stands in for what a real server does seldom and at the wrong time: errors, limits, slow tokens, a connection that
ends in the middle. `python -m rsrag.testing.chat_server` runs one in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `text` is streamed in these pieces (a str: word by word), `calls` are (name, arguments as written).

    `status` other than 200 answers with `error` instead. Seconds: `delay` before the first piece, `pause` between two.
    After `cut_after` pieces the connection ends without another word. `headers` go with an error (Retry-After).
    """

    text: str | Sequence[str] = ""
    calls: Sequence[tuple[str, str]] = ()
    status: int = 200
    error: str = ""
    delay: float = 0.0
    pause: float = 0.0
    cut_after: int | None = None
    finish: str = "stop"
    usage: tuple[int, int] = (10, 5)
    headers: Mapping[str, str] | None = None

    @property
    def pieces(self) -> list[str]:
        if not isinstance(self.text, str):
            return list(self.text)
        words = self.text.split(" ")
        return [w + " " for w in words[:-1]] + words[-1:] if self.text else []


Script = Reply | Callable[[dict[str, Any]], Reply]


class ChatServer:
    """Answers requests with `replies` in order and repeats the last. Use it in a `with` statement.

    `requests` holds the bodies received and `headers` their headers, named in lower case; `left` counts clients that
    went away before the answer was over. `model` is the entry that GET /models gives, `pages` the JSON of other
    addresses (path to object).
    """

    def __init__(
        self, *replies: Script, model: Mapping[str, Any] | None = None, pages: Mapping[str, Any] | None = None
    ) -> None:
        self.replies: list[Script] = list(replies) or [Reply("Hello.")]
        self.model = {"id": "tiny", "object": "model", **(model or {})}
        self.pages = dict(pages or {})
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.left = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_reply(self, body: dict[str, Any]) -> Reply:
        script = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return script if isinstance(script, Reply) else script(body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        chat = self

        class Handler(_Handler):
            server_of = chat

        return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of: ChatServer

    def log_message(self, *args: Any) -> None:
        """Nothing: a test's output is its own."""

    def do_GET(self) -> None:
        chat = self.server_of
        pages = {"/v1/models": {"object": "list", "data": [chat.model]}, **chat.pages}
        found = pages.get(self.path)
        self._json(200 if found is not None else 404, found if found is not None else {"error": {"message": "none"}})

    def do_POST(self) -> None:
        chat = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path in chat.pages:
            return self._json(200, chat.pages[self.path])
        chat.requests.append(body)
        chat.headers.append({name.lower(): value for name, value in self.headers.items()})
        reply = chat.next_reply(body)
        if reply.status != 200:
            return self._json(reply.status, {"error": {"message": reply.error}}, reply.headers)
        try:
            self._stream(reply)
        except OSError:
            chat.left += 1
            self.close_connection = True
        return None

    def _json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        time.sleep(reply.delay)
        self._event({"role": "assistant", "content": ""})
        for number, piece in enumerate(reply.pieces):
            if number == reply.cut_after:
                return self._cut()
            if number and reply.pause:
                time.sleep(reply.pause)
            self._event({"content": piece})
        for index, (name, written) in enumerate(reply.calls):
            head = {"index": index, "id": f"call_{index}", "type": "function"}
            self._event({"tool_calls": [{**head, "function": {"name": name, "arguments": ""}}]})
            half = len(written) // 2
            for part in (written[:half], written[half:]):
                self._event({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
        if reply.cut_after is not None and reply.cut_after >= len(reply.pieces):
            return self._cut()
        self._event({}, finish="tool_calls" if reply.calls else reply.finish)
        spent = {"prompt_tokens": reply.usage[0], "completion_tokens": reply.usage[1], "total_tokens": sum(reply.usage)}
        self._write({**_HEAD, "choices": [], "usage": spent})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")
        return None

    def _cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def _event(self, delta: Mapping[str, Any], finish: str | None = None) -> None:
        self._write({**_HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def _write(self, value: Mapping[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


_HEAD: Mapping[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}


def main() -> None:
    """Serve one text until the standard input ends; prints the address."""
    import sys

    parser = argparse.ArgumentParser(description="A scripted chat server on loopback.")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of the answer")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds to the first token")
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between tokens")
    options = parser.parse_args()
    words = [f"word{n} " for n in range(options.tokens)]
    with ChatServer(Reply(words, delay=options.delay, pause=options.pause)) as server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
