"""What does the API server say, now and whenever it changes, and how is it told what this router runs?"""

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config import load_incluster_config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from assay.api.base import Manifest
from assay.core.errors import ApiUnavailable, Forbidden
from assay.core.names import ACKS_CONFIG_MAP, CONFIG_MAP, DEPLOYMENT_LABEL, REVISION_LABEL

log = logging.getLogger(__name__)

CONNECT, READ = 3.0, 10.0  # seconds
WATCH = 60  # seconds; each watch ends after them and begins with a list again, so that nothing can stay missed
QUIET = WATCH + 10.0  # seconds of silence after which the connection is taken for dead
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds between tries while the API server is away
GONE = 410
FORBIDDEN = (401, 403)
NOT_FOUND = 404

# The generated client has no precise types; what crosses this border is plain JSON.
Call = Callable[..., Any]
Tell = Callable[[list[Manifest]], None]


def _nobody(_: list[Manifest]) -> None:
    """Nobody is told: the list alone is wanted."""


class Cluster:
    """The few calls a router is allowed to make."""

    def __init__(self, api: client.ApiClient, namespace: str, deployment: str) -> None:
        self._core = client.CoreV1Api(api)
        self._discovery = client.DiscoveryV1Api(api)
        self._namespace = namespace
        self._deployment = deployment

    @classmethod
    def from_pod(cls, namespace: str, deployment: str) -> "Cluster":
        """Connect as the pod's service account.

        Raises:
            ApiUnavailable: this is no pod, or it has no service account token.
        """
        configuration = client.Configuration()
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException as error:
            raise ApiUnavailable(f"The pod's service account cannot be read: {error}") from error
        configuration.retries = False  # retrying is done here, where it can be told
        return cls(client.ApiClient(configuration), namespace, deployment)

    def split_map(self) -> list[Manifest]:
        """Return the ConfigMap that holds the split, if it is there.

        Raises:
            ApiUnavailable: the API server does not answer.
            Forbidden: the router's Role does not allow it.
        """
        return self.follow_split_map().list()[0]

    def slices(self) -> list[Manifest]:
        """Return the EndpointSlices of all revisions; raises as `split_map` does."""
        return self.follow_slices().list()[0]

    def follow_split_map(self, tell: Tell = _nobody) -> "Mirror":
        """Return a mirror, not yet started, of the ConfigMap that holds the split."""
        name = CONFIG_MAP.format(name=self._deployment)
        selector = f"metadata.name={name}"
        call = partial(self._core.list_namespaced_config_map, self._namespace, field_selector=selector)
        return Mirror(f"ConfigMap {self._namespace}/{name}", call, tell)

    def follow_slices(self, tell: Tell = _nobody) -> "Mirror":
        """Return a mirror, not yet started, of the EndpointSlices of all revisions."""
        selector = f"{DEPLOYMENT_LABEL}={self._deployment},{REVISION_LABEL}"
        call = partial(self._discovery.list_namespaced_endpoint_slice, self._namespace, label_selector=selector)
        return Mirror(f"EndpointSlices of {self._namespace}/{self._deployment}", call, tell)

    def acknowledge(self, pod: str, generation: int | None) -> None:
        """Write which generation a router runs; None takes the router's entry away.

        Raises:
            ApiUnavailable: the API server or the ConfigMap is not there; trying again may help.
            Forbidden: the router's Role does not allow it.
        """
        name = ACKS_CONFIG_MAP.format(name=self._deployment)
        body = {"data": {pod: None if generation is None else str(generation)}}
        try:
            self._core.patch_namespaced_config_map(
                name,
                self._namespace,
                body,
                _content_type="application/merge-patch+json",
                _request_timeout=(CONNECT, READ),
            )
        except (ApiException, HTTPError, OSError) as error:
            raise _told(error, f"patch ConfigMap {self._namespace}/{name}") from error


class Mirror:
    """Keeps a list of objects as the API server has them, in a thread of its own, for as long as the process lives."""

    def __init__(self, what: str, call: Call, tell: Tell) -> None:
        self.what = what
        self._call = call
        self._tell = tell
        self._stopping = threading.Event()
        self._complaint = ""

    def list(self) -> tuple[list[Manifest], str]:
        """Return the objects and the resourceVersion of the list.

        Raises:
            ApiUnavailable: the API server does not answer.
            Forbidden: the router's Role does not allow it.
        """
        try:
            answer = self._call(_preload_content=False, _request_timeout=(CONNECT, READ))
            listing = json.loads(answer.data)
            return listing.get("items") or [], listing["metadata"]["resourceVersion"]
        except (ApiException, HTTPError, OSError, ValueError, KeyError) as error:
            raise _told(error, f"list {self.what}") from error

    def start(self) -> None:
        """Begin to mirror."""
        threading.Thread(target=self._run, name=self.what, daemon=True).start()

    def stop(self) -> None:
        """Stop after the present event; the thread is a daemon and holds nothing."""
        self._stopping.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                self._follow()
                pause = FIRST_PAUSE
            except (ApiUnavailable, Forbidden) as error:
                self._complain(str(error))
                self._stopping.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - routers must not come back in step
                pause = min(2 * pause, LONGEST_PAUSE)

    def _follow(self) -> None:
        """List once, then hear of changes until the watch ends; its end is no error."""
        listed, version = self.list()
        objects = {manifest["metadata"]["name"]: manifest for manifest in listed}
        self._tell(list(objects.values()))
        self._complain("")
        for kind, manifest in self._changes(version):
            if self._stopping.is_set():
                return
            if kind == "BOOKMARK":
                continue
            if kind == "DELETED":
                objects.pop(manifest["metadata"]["name"], None)
            else:
                objects[manifest["metadata"]["name"]] = manifest
            self._tell(list(objects.values()))

    def _changes(self, version: str) -> Iterator[tuple[str, Manifest]]:
        options = {"resource_version": version, "timeout_seconds": WATCH, "_request_timeout": (CONNECT, QUIET)}
        try:
            stream = watch.Watch(return_type="object").stream(self._call, **options)  # type: ignore[no-untyped-call]
            for event in stream:
                yield event["type"], event["raw_object"]
        except ApiException as error:
            if error.status == GONE:  # our version is too old: the list that follows is the cure
                return
            raise _told(error, f"watch {self.what}") from error
        except (HTTPError, OSError, ValueError, KeyError) as error:
            raise _told(error, f"watch {self.what}") from error

    def _complain(self, complaint: str) -> None:
        """Log a trouble once, and its end once."""
        if complaint and not self._complaint:
            log.warning("%s The last known state goes on serving.", complaint)
        if self._complaint and not complaint:
            log.info("%s can be read again.", self.what)
        self._complaint = complaint


def _told(error: Exception, doing: str) -> ApiUnavailable | Forbidden:
    """Return a foreign error as one of ours, in a sentence."""
    if isinstance(error, ApiException):
        if error.status in FORBIDDEN:
            return Forbidden(f"The API server does not allow this router to {doing}: {error.reason} ({error.status}).")
        if error.status == NOT_FOUND:
            return ApiUnavailable(f"Cannot {doing}: it does not exist yet.")
        return ApiUnavailable(f"Cannot {doing}: the API server answered {error.status} {error.reason}.")
    return ApiUnavailable(f"Cannot {doing}: the API server does not answer ({type(error).__name__}).")
