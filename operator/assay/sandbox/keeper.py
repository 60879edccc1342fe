"""The first process of a sandbox: starts the parts, forwards ports, and takes everything with it when it goes.

    outside            | own network, mount and process namespaces
    up -> unshare ---->| tini (pid 1) -> keeper -> etcd, kube-apiserver, ..., containerd -> every container
       listening       |
       sockets ------->| forwards to the API server and to Services

The process namespace is what makes `down` complete: when the keeper ends, however it ends, tini ends, and when process 1
ends the kernel ends all others; with the last of them go the mounts and the network.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

from assay.sandbox.layout import NODE_IP, POD_NETWORK, SERVICE_NETWORK, Layout
from assay.sandbox.parts import Part, parts

Forward = tuple[int, str, int]  # inherited listening socket, host, port


def keep(name: str, forwards: list[Forward]) -> None:
    """Run inside the namespaces until told to stop."""
    layout = Layout(name)
    _isolate(layout)
    asyncio.run(_keep(layout, forwards))


def _isolate(layout: Layout) -> None:
    """Make mounts private, give the namespace its own /run, network and kubelet folders."""
    # Pods need mounts that propagate, but only inside: private to the machine first, shared among ourselves then.
    run = [
        ["mount", "--make-rprivate", "/"],
        ["mount", "--make-rshared", "/"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
    ]
    for inside, folder in (("/var/lib/kubelet", "kubelet"), ("/var/log/containers", "containers")):
        own = layout.root / folder
        own.mkdir(parents=True, exist_ok=True)
        Path(inside).mkdir(parents=True, exist_ok=True)
        run.append(["mount", "--bind", str(own), inside])
        run.append(["mount", "--make-rshared", inside])
    run += [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "cni0", "type", "bridge"],
        ["ip", "address", "add", f"{NODE_IP}/{POD_NETWORK.split('/')[1]}", "dev", "cni0"],
        ["ip", "link", "set", "cni0", "up"],
        # Services have no route of their own; without one the kernel refuses before kube-proxy can translate.
        ["ip", "route", "add", SERVICE_NETWORK, "dev", "cni0"],
    ]
    for argv in run:
        subprocess.run(argv, check=True)
    for key in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        Path("/proc/sys", key).write_text("1")


class Keeper:
    """The parts that run, and those that died."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.watching: dict[str, asyncio.Task[None]] = {}
        self.dead: dict[str, int] = {}
        self.ready = False

    async def start(self, part: Part) -> bool:
        """Start a part and wait until its probe answers; False when it ended before."""
        log = (self.layout.logs / f"{part.name}.log").open("ab")
        environment = os.environ | {"GOMEMLIMIT": "2GiB", "GOGC": "100"}
        process = await asyncio.create_subprocess_exec(*part.argv, stdout=log, stderr=log, env=environment)
        log.close()
        self.running[part.name] = process
        self.dead.pop(part.name, None)
        self.tell()
        task = self.watching[part.name] = asyncio.create_task(self.watch(part, process))
        while not await asyncio.to_thread(answers, part.ready):
            if task.done():
                return False
            await asyncio.sleep(0.1)
        return True

    async def kill(self, name: str) -> None:
        """End a part as a lack of memory would, and wait until it is noted among the dead."""
        self.running[name].kill()
        await self.watching[name]

    async def watch(self, part: Part, process: asyncio.subprocess.Process) -> None:
        """Note a part's death; nothing is restarted, because a part that dies is something to look at."""
        code = await process.wait()
        del self.running[part.name]
        self.dead[part.name] = code
        self.tell()

    def tell(self) -> None:
        """Write what runs and what died where `assay sandbox status` reads it."""
        state = {"running": sorted(self.running), "dead": self.dead, "ready": self.ready}
        temporary = self.layout.root / "parts.json.new"
        temporary.write_text(json.dumps(state))
        temporary.rename(self.layout.root / "parts.json")


async def _keep(layout: Layout, forwards: list[Forward]) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    keeper = Keeper(layout)
    servers = [await _forward(*forward) for forward in forwards]
    servers.append(await asyncio.start_unix_server(partial(_obey, keeper), layout.orders))
    starting = asyncio.create_task(_start_all(keeper))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
    await stopped
    for server in servers:
        server.close()


async def _start_all(keeper: Keeper) -> None:
    for part in parts(keeper.layout):
        if not await keeper.start(part):
            raise SystemExit(1)
    keeper.ready = True
    keeper.tell()


async def _obey(keeper: Keeper, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry out one order, `kill <part>` or `start <part>`, and answer with a complaint or an empty line."""
    verb, name = (await reader.readline()).decode().split()
    known = {part.name: part for part in parts(keeper.layout)}
    complaint = ""
    if name not in known:
        complaint = f"There is no part {name}; the parts are {', '.join(known)}."
    elif (verb == "kill") != (name in keeper.running):
        complaint = f"Part {name} {'does not run' if verb == 'kill' else 'runs already'}."
    elif verb == "kill":
        await keeper.kill(name)
    elif not await keeper.start(known[name]):
        complaint = f"Part {name} ended at once; its log is {keeper.layout.logs / name}.log."
    writer.write(f"{complaint}\n".encode())
    await writer.drain()
    writer.close()


def answers(probe: str) -> bool:
    """Return whether a probe answers: 200 on an http(s) URL, or a connection on unix:<path>."""
    try:
        if probe.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(probe.removeprefix("unix:"))
            return True
        # The parts' own certificates are made at their start; this is loopback in a namespace of our own.
        context = ssl._create_unverified_context() if probe.startswith("https") else None  # noqa: S323, SLF001
        with urllib.request.urlopen(probe, timeout=2, context=context) as response:  # noqa: S310 - our own constants
            return bool(response.status == 200)  # noqa: PLR2004
    except OSError:
        return False


async def _forward(descriptor: int, host: str, port: int) -> asyncio.Server:
    """Accept on a socket of the outside world and connect inside."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        for stream in (inner_writer, writer):
            stream.close()

    return await asyncio.start_server(serve, sock=socket.socket(fileno=descriptor))


if __name__ == "__main__":
    keep(sys.argv[1], [tuple(item) for item in json.loads(sys.argv[2])])
