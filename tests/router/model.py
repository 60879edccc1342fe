"""A model server that does what the request's x-test-* headers say."""

import asyncio

from aiohttp import web


class Model:
    """One replica of a revision; does what the request's x-test-* headers say."""

    def __init__(self, revision: str, port: int) -> None:
        self.revision = revision
        self.port = port
        self.seen = 0  # requests begun
        self.in_flight = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/stream", self._stream)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen += 1
        self.in_flight += 1
        try:
            size = len(await request.read())
            await asyncio.sleep(float(request.headers.get("x-test-seconds", "0")))
        finally:
            self.in_flight -= 1
        said = {"revision": self.revision, "port": self.port, "size": size, "headers": dict(request.headers.items())}
        status = int(request.headers.get("x-test-status", "200"))
        return web.json_response(said, status=status, headers={"x-assay-revision": "a lie", "x-assay-replica": "a lie"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(4):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.1)
        return response
