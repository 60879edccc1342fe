"""How is one request made to a Kubernetes API server, and what does its answer mean?"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import TypeAlias
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import OpenApiException

from assay.api.base import Manifest
from assay.core.errors import ApiUnavailable, AssayError, Conflict, Forbidden, InvalidSpec

TIMEOUT_SECONDS = 10.0

OnCall: TypeAlias = Callable[[str, str, str], None]
"""Told of each call: verb and resource as RBAC names them, and the HTTP status or `error`."""

_METHODS = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_FOREIGN = (OpenApiException, urllib3.exceptions.HTTPError, HTTPException, config.ConfigException, OSError, ValueError)
# What server-side apply says, with status 500, of a field that the schema does not know or of a wrong type: a pod
# template is the user's, and our own schema keeps it as it was written (seen with Kubernetes 1.35).
_MALFORMED = ("failed to create typed patch object", "failed to convert new object")
_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a request is about."""

    resource: str
    """As RBAC names it, for example `modeldeployments/status`."""
    path: str


class ApiServer:
    """The API server that a client is set up for; one instance serves all threads."""

    def __init__(self, api: client.ApiClient, on_call: OnCall, timeout: float = TIMEOUT_SECONDS) -> None:
        self._api = api
        self._on_call = on_call
        self._timeout = timeout

    def call(
        self,
        verb: str,
        about: Endpoint,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        body: Manifest | None = None,
    ) -> Manifest | None:
        """Make one request and return the answer; None for 404."""
        url = self._api.configuration.host + about.path + ("?" + urlencode(query) if query else "")
        headers = {**self._api.default_headers, "Accept": "application/json", "Content-Type": content_type}
        method, code = _METHODS[verb], "error"
        try:
            self._api.update_params_for_auth(headers, [], ["BearerToken"], about.path, method, body)
            reply = self._api.call_api(method, url, headers, body, _request_timeout=self._timeout)
            data = reply.read()  # type: ignore[no-untyped-call]
            code = str(reply.status)
            answer = json.loads(data) if data else {}
        except _FOREIGN as error:
            raise ApiUnavailable(
                f"Could not {verb} {about.resource}: the API server did not answer: {_first_line(error)}"
            ) from error
        finally:
            self._on_call(verb, about.resource, code)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(f"{verb} {about.resource}", reply.status, answer)
        return dict(answer)


def _first_line(error: Exception) -> str:
    """Return what happened without the headers and the body that the client library prints."""
    lines = str(getattr(error, "reason", None) or error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _refusal(deed: str, status: int, answer: object) -> AssayError:
    """Return the error of ours that an HTTP status means, with the server's own sentence."""
    said = answer.get("message") if isinstance(answer, dict) else None
    said = said or f"HTTP status {status}"
    match status:
        case HTTPStatus.CONFLICT:
            return Conflict(f"Could not {deed}: {said}")
        case HTTPStatus.UNPROCESSABLE_ENTITY if _blames(answer, "field", "metadata.uid"):
            # Server-side apply says so of another object that has taken the name.
            return Conflict(f"Could not {deed}: {said}")
        case HTTPStatus.FORBIDDEN if _blames(answer, "reason", "NamespaceTerminating"):
            # No right is missing: all of it is about to go, and nobody has to do anything.
            return ApiUnavailable(f"Could not {deed}: {said}")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Forbidden(f"May not {deed}: {said}")
        case _ if status in _REFUSED or str(said).startswith(_MALFORMED):
            return InvalidSpec(f"The API server refused to {deed}: {said}")
        case _:
            return ApiUnavailable(f"Could not {deed}: {said}")


def _blames(answer: object, key: str, value: str) -> bool:
    """Return whether the server names this among the causes of its refusal."""
    details = answer.get("details") if isinstance(answer, dict) else None
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(isinstance(one, dict) and one.get(key) == value for one in causes or [])
