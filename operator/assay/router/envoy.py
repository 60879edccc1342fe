"""What must Envoy be told to carry out a split?

Three kinds of resource, each a DiscoveryResponse in a file of its own (JSON, because YAML turns `n` into false): the routes (weights, headers, timeouts), the
clusters (how to speak to a revision) and the endpoints of each revision. References: Envoy's API v3, release 1.40.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from assay.core.names import OUTCOMES_PATH, REPLICA_HEADER, REVISION_HEADER
from assay.core.split import Backend, Split
from assay.router.layout import ROUTES, Endpoint, Layout, Via, cluster_name

Json = dict[str, Any]

TYPES = "type.googleapis.com/"
CONNECT_TIMEOUT = "1s"  # a node that vanished must not hold a request for long; the next replica is tried then
# Envoy must be the first to close an idle connection: a model server that closes one (gunicorn after 2 s, uvicorn
# after 5 s) in the instant in which Envoy sends a request on it would lose that request.
UPSTREAM_IDLE = "1s"
UNLIMITED = 1_000_000  # Envoy's limits of connections and retries would turn a burst into 503s
SHORTEST_STREAM_IDLE = 300  # seconds; Envoy's default
# Only failures in which no model has seen the request: a model's own 5xx is evidence, and is never retried away.
RETRY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"{TYPES}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }
    ],
    # A replica that refuses is never busy, so that the balancer likes it best: it must be passed over many times.
    "host_selection_retry_max_attempts": 30,
}
# A replica that cannot be connected to (its node is gone, and Kubernetes has not noticed yet) is left out for a while.
# What a model answers never counts here; with half of the replicas out, all are tried again.
LEAVE_OUT = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 3,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 0,
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "5s",
    "max_ejection_time": "30s",
    "max_ejection_percent": 50,
}
# The filter that takes a request to the very replica that its header names. It is off, but for labels: a caller must not
# choose the replica that predicts. A replica that is gone is no error: another one answers that it knows no such id.
REPLICA_FILTER = "envoy.filters.http.stateful_session"


def config_source(path: object) -> Json:
    """Return where Envoy finds a resource: a file that it reads again whenever another is renamed onto it."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}


def response(kind: str, resources: Iterable[Json]) -> Json:
    """Return a DiscoveryResponse whose version is a digest of its content."""
    typed = [{"@type": f"{TYPES}{kind}", **resource} for resource in resources]
    version = hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]
    return {"version_info": version, "resources": typed}


def endpoints(revision: str, replicas: Iterable[Endpoint]) -> Json:
    """Return the EDS file of one revision; no replicas is a valid answer (503, never another revision)."""
    lb_endpoints = [
        {
            "endpoint": {"address": {"socket_address": {"address": replica.host, "port_value": replica.port}}},
            "metadata": {"filter_metadata": {"assay": {"revision": revision, "replica": _replica(replica)}}},
        }
        for replica in sorted(replicas)
    ]
    groups = [{"lb_endpoints": lb_endpoints}] if lb_endpoints else []
    assignment = {"cluster_name": revision, "endpoints": groups}
    return response("envoy.config.endpoint.v3.ClusterLoadAssignment", [assignment])


def _replica(replica: Endpoint) -> str:
    """Return how REPLICA_FILTER names a replica."""
    host = f"[{replica.host}]" if ":" in replica.host else replica.host
    return base64.b64encode(f"{host}:{replica.port}".encode()).decode()


def clusters(revisions: Iterable[str], layout: Layout) -> Json:
    """Return the CDS file: each revision once for its share of the split and once for requests that name it."""
    return response(
        "envoy.config.cluster.v3.Cluster",
        [_cluster(via, revision, layout) for revision in sorted(revisions) for via in Via],
    )


def _cluster(via: Via, revision: str, layout: Layout) -> Json:
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {
        "name": cluster_name(via, revision),
        "type": "EDS",
        "eds_cluster_config": {"service_name": revision, "eds_config": config_source(layout.endpoints(revision))},
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",  # predictions differ in length
        "outlier_detection": LEAVE_OUT,
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, UNLIMITED)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def routes(split: Split) -> Json:
    """Return the RDS file. The generation is part of its content, so that Envoy can be asked which one it runs."""
    host: Json = {"name": "model", "domains": ["*"], "routes": list(_routes(split))}
    table = {
        "name": ROUTES,
        "metadata": {"filter_metadata": {"assay": {"generation": str(split.generation)}}},
        "virtual_hosts": [host],
        # Envoy adds the second by itself; x-forwarded-for says the same.
        "request_headers_to_remove": [REVISION_HEADER, REPLICA_HEADER, "x-envoy-external-address"],
    }
    return response("envoy.config.route.v3.RouteConfiguration", [table])


def _routes(split: Split) -> Iterable[Json]:
    yield from _labels(split)
    if split.allow_revision_header:
        for backend in split.backends:
            yield _to_revision(split, backend)
        yield _unknown_revision(split)
    yield _by_weight(split)


def _labels(split: Split) -> Iterable[Json]:
    """Labels go to the revision, and to the very replica, that made the predictions; apart from the split's counts."""
    switched_on = {"@type": f"{TYPES}envoy.config.route.v3.FilterConfig", "config": {}}
    for backend in split.backends:
        route = _to_revision(split, backend)
        route["match"] = {"path": OUTCOMES_PATH, "headers": route["match"]["headers"]}
        yield route | {"typed_per_filter_config": {REPLICA_FILTER: switched_on}}
    known = ", ".join(backend.revision for backend in split.backends) or "none"
    gone = f"{REVISION_HEADER}: {split.deployment} serves that revision no longer, so that its labels count nowhere; it serves {known}.\n"
    none = f"{REVISION_HEADER} is missing; send it, and {REPLICA_HEADER}, as the answer to the prediction had them.\n"
    for headers, status, sentence in (
        ([{"name": REVISION_HEADER, "present_match": True}], 410, gone),
        ([], 400, none),
    ):
        yield {
            "match": {"path": OUTCOMES_PATH, "headers": headers},
            "direct_response": {"status": status, "body": {"inline_string": sentence}},
        }


def _to_revision(split: Split, backend: Backend) -> Json:
    wanted = {"name": REVISION_HEADER, "string_match": {"exact": backend.revision}}
    return {
        "match": {"prefix": "/", "headers": [wanted]},
        "route": {"cluster": cluster_name(Via.DIRECT, backend.revision), **_patience(split)},
        "response_headers_to_add": _answered_by(),
    }


def _unknown_revision(split: Split) -> Json:
    known = ", ".join(backend.revision for backend in split.backends) or "none"
    sentence = f"{REVISION_HEADER}: {split.deployment} serves no such revision; it serves {known}.\n"
    return {
        "match": {"prefix": "/", "headers": [{"name": REVISION_HEADER, "present_match": True}]},
        "direct_response": {"status": 404, "body": {"inline_string": sentence}},
    }


def _by_weight(split: Split) -> Json:
    match = {"prefix": "/"}
    if not split.backends:
        sentence = f"{split.deployment} has no revision that serves yet; try again when it is Ready.\n"
        return {"match": match, "direct_response": {"status": 503, "body": {"inline_string": sentence}}}
    shares: Json = {
        "clusters": [
            {"name": cluster_name(Via.SPLIT, backend.revision), "weight": backend.weight}
            for backend in split.backends  # in this order: a user's hash falls on the same side while the first grows
            if backend.weight
        ]
    }
    action: Json = {"weighted_clusters": shares, **_patience(split)}
    if split.sticky_header:
        shares["use_hash_policy"] = True
        action["hash_policy"] = [{"header": _salted(split.sticky_header, split.salt)}]
    return {"match": match, "route": action, "response_headers_to_add": _answered_by()}


def weighted(file: Json | None) -> set[str]:
    """Return the revisions to which an RDS file (None: there is none) gives weight."""
    hosts = [host for table in (file or {"resources": []})["resources"] for host in table["virtual_hosts"]]
    actions = [route.get("route", {}) for host in hosts for route in host["routes"]]
    shares = [share for action in actions for share in action.get("weighted_clusters", {"clusters": []})["clusters"]]
    return {share["name"].partition("|")[2] for share in shares}


def _salted(header: str, salt: str) -> Json:
    """Hash the salt before the user's id, or every rollout would choose the same users. Absent header: no hash, random."""
    escaped = salt.replace("\\", "\\\\")
    return {
        "header_name": header,
        "regex_rewrite": {"pattern": {"regex": "^(.*)$"}, "substitution": f"{escaped}/\\1"},
    }


def _patience(split: Split) -> Json:
    idle = max(split.timeout_seconds + 1, SHORTEST_STREAM_IDLE)
    return {"timeout": f"{split.timeout_seconds}s", "idle_timeout": f"{idle}s", "retry_policy": RETRY}


def _answered_by() -> list[Json]:
    """Say who answered, whatever the model says."""
    return [
        {
            "header": {"key": header, "value": f"%UPSTREAM_METADATA(assay:{key})%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
        for header, key in ((REVISION_HEADER, "revision"), (REPLICA_HEADER, "replica"))
    ]
