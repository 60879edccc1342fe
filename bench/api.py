"""How does the bench itself talk to the API server: many small requests and a few watches, at little cost?"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

Manifest: TypeAlias = dict[str, Any]
MERGE = "application/merge-patch+json"
NOT_FOUND, CONFLICT, GONE = 404, 409, 410
PARALLEL = 16  # requests at once: the bench must leave the API server to the operator


class Api:
    """A client for one API server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._turn = asyncio.Semaphore(PARALLEL)

    async def call(self, method: str, path: str, body: Manifest | None = None, kind: str = MERGE) -> Manifest | None:
        """Make one request; None where there is no such object, or it is there already."""
        headers = {"Content-Type": kind if method == "PATCH" else "application/json"}
        while True:
            async with self._turn, self._session.request(method, path, json=body, headers=headers) as answer:
                if answer.ok:
                    found: Manifest = await answer.json()
                    return found
                if answer.status not in (NOT_FOUND, CONFLICT):
                    raise RuntimeError(f"{method} {path}: {answer.status} {(await answer.text())[:300]}")
                if answer.status == NOT_FOUND or method != "PATCH":
                    return None
            await asyncio.sleep(0.1)  # somebody wrote in between, and the API server has given up trying

    async def watch(self, path: str, selector: str = "") -> AsyncIterator[tuple[str, Manifest]]:
        """Yield (ADDED, MODIFIED or DELETED, object) for ever, first of what is there."""
        while True:
            listed = await self.call("GET", f"{path}?labelSelector={selector}") or {}
            for one in listed.get("items", []):
                yield "ADDED", one
            version = listed["metadata"]["resourceVersion"]
            async for event, one in self._events(f"{path}?labelSelector={selector}&watch=1&resourceVersion={version}"):
                yield event, one

    async def _events(self, path: str) -> AsyncIterator[tuple[str, Manifest]]:
        try:
            async with self._session.get(path, timeout=aiohttp.ClientTimeout(total=None, sock_read=600)) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError):
            return


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Api]:
    """Connect as the kubeconfig (one context, a token, in JSON) says."""
    config = json.loads(kubeconfig.read_text())  # noqa: ASYNC240 - before anything else runs
    place, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cafile=place["certificate-authority"])
    async with aiohttp.ClientSession(
        place["server"],
        headers={"Authorization": f"Bearer {user['token']}"},
        connector=aiohttp.TCPConnector(ssl=trust, limit=PARALLEL + 8),
        read_bufsize=2**22,  # one line of a watch is one object
    ) as session:
        yield Api(session)
