"""Play an act: release a revision, watch until it is decided, and note what was seen."""

import json
import time
from collections.abc import Callable
from typing import Any

from flights.demo.timeline import Act, Heard, look
from flights.shop import Shop, ShopError, until

EVERY = 0.5  # seconds between two looks
PATIENCE = 240.0  # seconds that an act may take
ENDED = {"Stable", "RolledBack"}


def play(act: Act, shop: Shop, show: Callable[[Act], None]) -> None:
    """Release the act's revision and fill the act with what happens.

    Raises:
        ShopError: It was not decided in time; the message has the last evidence.
    """
    heard = shop.heard()
    before = Heard(heard["answered"], heard["lost"])
    served = str(_found(shop)["status"]["stable"]["revision"])
    ended = len(_found(shop)["status"].get("history", []))
    show(act)
    applied = time.time()
    shop.release(act.revision)
    while True:
        found = _found(shop)
        act.samples.append(look(time.time() - applied, found, shop.heard(), before, served))
        show(act)
        status = found.get("status", {})
        if status.get("stage") in ENDED and len(status.get("history", [])) > ended:
            break
        if time.time() - applied > PATIENCE:
            last = "; ".join(check.reason for check in act.samples[-1].checks)
            raise ShopError(f"Revision {act.revision} was not decided within {PATIENCE:.0f} s. Last evidence: {last}")
        time.sleep(EVERY)
    # What was in flight at the decision is heard of a little later.
    told = shop.heard().get("sent", 0)
    until(lambda: shop.heard().get("sent", 0) > told + 200, "the callers go on")
    act.samples.append(look(time.time() - applied, _found(shop), shop.heard(), before, served))
    act.end(status, applied)
    show(act)


def _found(shop: Shop) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shop.kubectl("get", "modeldeployment", "flights", "--output", "json"))
    return found
