"""What does the cluster say just now, and what do the passengers? Two programs that tell every change, read as they print."""

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from flights.shop import CALLERS, Shop

RETRY: Final = 0.5  # seconds until a stream that broke off is begun again


class Stream:
    """The newest JSON line of a program. Each line says all, so one that broke off is begun anew without loss."""

    def __init__(self, argv: Sequence[str], news: threading.Condition) -> None:
        self.newest: Mapping[str, Any] = {}
        self._argv, self._news = argv, news
        self._ending = threading.Event()
        self._program: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the program and wait for it."""
        with self._news:
            self._ending.set()
            if self._program is not None:
                self._program.terminate()
        self._thread.join()

    def _read(self) -> None:
        while self._begin():
            assert self._program is not None  # noqa: S101 - for the type checker
            assert self._program.stdout is not None  # noqa: S101 - for the type checker
            with self._program as program:
                for line in program.stdout or ():
                    self._hear(line)
            self._ending.wait(RETRY)

    def _begin(self) -> bool:
        with self._news:
            if not self._ending.is_set():
                # A session of its own: Ctrl-C is for the demo, which ends its programs in order.
                self._program = subprocess.Popen(self._argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                                 text=True, start_new_session=True)  # fmt: skip
            return not self._ending.is_set()

    def _hear(self, line: str) -> None:
        try:
            heard = json.loads(line)
        except ValueError:
            return  # a line that the end cut off
        with self._news:
            self.newest = heard
            self._news.notify_all()


class Streams:
    """The ModelDeployment and the replay client's report, as they are now."""

    def __init__(self, shop: Shop, name: str = "flights") -> None:
        kubectl = [*shop.kubectl_program, "--namespace", shop.namespace]
        self._news = threading.Condition()
        watch = ["get", "modeldeployment", name, "--watch", "--output", 'jsonpath={$}{"\\n"}']
        self._found = Stream([*kubectl, *watch], self._news)
        self._heard = Stream([*kubectl, "logs", "--follow", "--tail=1", CALLERS], self._news)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._found.end()
        self._heard.end()

    def now(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the ModelDeployment and the report; empty before the first word of each."""
        with self._news:
            return self._found.newest, self._heard.newest

    def newer(self, than: tuple[object, object], seconds: float) -> bool:
        """Wait until either says something that is not this; False when neither did for so long."""

        def news() -> bool:
            return self._found.newest is not than[0] or self._heard.newest is not than[1]

        deadline = time.monotonic() + seconds
        with self._news:
            while not news() and (left := deadline - time.monotonic()) > 0:
                self._news.wait(left)
            return news()
