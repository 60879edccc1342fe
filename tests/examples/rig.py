"""The example's programs as processes, and what is said to them."""

import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(EXAMPLES.parent / "operator")])}


def run(module: str, *argv: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program of the example."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *argv],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Server:
    """A model server on loopback."""

    process: subprocess.Popen[str]
    port: int
    _connections: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
        """GET, or POST a body: raw bytes as they are, everything else as JSON."""
        if not self._connections:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.connect()
            self._connections.append(connection)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._connections[0].request("GET" if body is None else "POST", path, None if body is None else raw)
        answer = self._connections[0].getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def infer(self, *tensors: dict[str, object], identifier: str = "") -> tuple[int, Any]:
        status, _, body = self.ask("/v2/models/flights/infer", {"id": identifier, "inputs": list(tensors)})
        return status, json.loads(body)

    def end(self) -> None:
        for connection in self._connections:
            connection.close()
        self.process.kill()
        self.process.communicate()


def line_of(process: subprocess.Popen[str]) -> Any:
    """Wait for a program's next line, and return the JSON in it."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def tensor(name: str, *values: object) -> dict[str, object]:
    datatype = "BYTES" if any(isinstance(value, str) for value in values) else "FP64"
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": list(values)}
