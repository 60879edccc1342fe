"""What people copy from docs/how-to/send-labels.md works as it stands there."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from examples.rig import ENVIRONMENT, Server

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "send-labels.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_commands_get_a_prediction_and_send_its_label(serve: Callable[..., Server]) -> None:
    predict, label = blocks("console")[0].splitlines()
    environment = os.environ | {"MODEL": serve("v2", labels="600").url, "REVISION": "", "REPLICA": ""}

    def say(command: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", command], env=environment | more, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    found = re.search(r"^x-assay-prediction-id: (\S+)", say(predict), re.MULTILINE)
    assert found
    assert say(label, ID=found[1]) == '{"outcomes": 1, "known": 1}'
    assert say(label, ID="another") == '{"outcomes": 1, "known": 0}'


def test_the_model_server_gives_each_prediction_an_id_and_takes_its_label(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(blocks("python")[0])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = Server(
            subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "page:app", "--fd", str(listening.fileno()), "--log-level", "error"],
                env=ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"},
                pass_fds=[listening.fileno()],
                text=True,
            ),
            listening.getsockname()[1],
        )
    try:
        status, headers, _ = server.ask("/infer", {"amount": 2000})
        labels = [{"id": headers["x-assay-prediction-id"], "label": True}]
        assert status == 200
        assert json.loads(server.ask("/assay/outcomes", {"outcomes": labels})[2]) == {"outcomes": 1, "known": 1}
        assert b'outcome="correct"' in server.ask("/metrics")[2]
    finally:
        server.end()
