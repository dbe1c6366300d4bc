"""A tiny agent with the probes, the RPC and the chat of a gateway: `python -m tests.light.agent PORT MODEL`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWERS: dict[str, Any] = {
    "/healthz": {"ok": True, "status": "live"},
    "/startupz": {"status": "started"},
    "/readyz": {"ready": True, "failing": []},
}


class Handler(BaseHTTPRequestHandler):
    """Answers like a gateway that knows one model; with ``stand/refusing`` it refuses every method."""

    model = "stand/one"

    def do_GET(self) -> None:
        """Probes."""
        self._answer(ANSWERS.get(self.path, {"error": "unknown"}))

    def do_POST(self) -> None:
        """RPC and chat."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))) or b"{}")
        if self.path == "/api/v1/admin/rpc":
            if self.model == "stand/refusing":
                self._answer({"ok": False, "error": {"code": "REFUSED", "message": "this agent refuses"}})
                return
            models = [{"id": self.model, "provider": "openrouter", "name": self.model, "available": True}]
            self._answer(
                {"ok": True, "payload": {"models": models} if body["method"] == "models.list" else {"ok": True}}
            )
        else:
            content = f"light: {body['messages'][-1]['content']}"
            self._answer({"choices": [{"message": {"role": "assistant", "content": content}}]})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write requests to standard output, which is the agent's log."""
        print(format % args, flush=True)

    def _answer(self, body: Any) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


if __name__ == "__main__":
    Handler.model = sys.argv[2]
    print("light agent started", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
