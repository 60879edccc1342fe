"""How does one end a part of a sandbox that runs, and start it again?"""

import socket

from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import Layout


def kill(layout: Layout, part: str) -> None:
    """End a part with SIGKILL; it stays away, as the problem that `status` names, until `start`.

    Raises:
        SandboxError: There is no such part, or it does not run.
    """
    _order(layout, f"kill {part}")


def start(layout: Layout, part: str) -> None:
    """Start a part that has ended, and return when it answers.

    Raises:
        SandboxError: There is no such part, it runs already, or it ended at once.
    """
    _order(layout, f"start {part}")


def _order(layout: Layout, order: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(layout.orders))
        except OSError as error:
            raise SandboxError(f"Sandbox {layout.name} takes no orders: is it up? ({error})") from error
        client.sendall(f"{order}\n".encode())
        complaint = client.makefile().readline().strip()
    if complaint:
        raise SandboxError(complaint)
