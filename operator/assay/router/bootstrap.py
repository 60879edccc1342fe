"""What is Envoy started with, never to change while a router lives, so that no listener is ever replaced?"""

from typing import Any

from assay.core.names import LATENCY_BOUNDS_MS, METRIC_REVISION, METRIC_VIA, REPLICA_HEADER
from assay.router.envoy import REPLICA_FILTER, TYPES, Json, config_source
from assay.router.layout import ROUTES, Layout

MAX_CONNECTIONS = 50_000
_CLUSTER = r"^cluster\.(split|direct)\|[0-9a-f]{8}\."
# Everything else is not even counted: a fleet of routers must not flood Prometheus.
KEPT = (
    _CLUSTER + r"upstream_(rq_[0-9]xx|rq_time|rq_active|rq_retry|rq_timeout|cx_connect_fail)$",
    _CLUSTER + r"(membership_healthy|update_rejected)$",
    rf"^http\.{ROUTES}\.(downstream_rq_[0-9]xx|downstream_(rq|cx)_active|rds\.{ROUTES}\.update_rejected)$",
    r"^cluster_manager\.cds\.update_rejected$",
    r"^server\.(live|uptime|memory_allocated)$",
)


def bootstrap(layout: Layout) -> Json:
    """Return Envoy's bootstrap: admin on loopback, the public listener, the metrics listener, where files lie."""
    return {
        "node": {"id": "assay-router", "cluster": "assay-router"},
        "admin": {"address": _address("127.0.0.1", layout.admin_port)},
        "dynamic_resources": {"cds_config": config_source(layout.clusters)},
        "static_resources": {
            "listeners": [_public(layout), _metrics(layout)],
            "clusters": [_admin_cluster(layout)],
        },
        "stats_config": _statistics(),
        "stats_flush_interval": "1s",
        "overload_manager": _limits(),
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _limits() -> Json:
    """Refuse connections before file descriptors run out, which would end requests in flight as well."""
    name = "global_downstream_max_connections"
    kind = f"{TYPES}envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = {"@type": kind, "max_active_downstream_connections": MAX_CONNECTIONS}
    return {"resource_monitors": [{"name": f"envoy.resource_monitors.{name}", "typed_config": limit}]}


def _statistics() -> Json:
    return {
        "use_all_default_tags": False,
        "stats_tags": [
            {"tag_name": METRIC_REVISION, "regex": r"^cluster\.(?:split|direct)(\|([0-9a-f]{8})\.)"},
            {"tag_name": METRIC_VIA, "regex": r"^cluster\.((split|direct))\|"},
            {"tag_name": "envoy_response_code_class", "regex": r"_rq_(\d)xx$"},
        ],
        "stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": regex}} for regex in KEPT]}},
        "histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": list(LATENCY_BOUNDS_MS)}],
    }


def _public(layout: Layout) -> Json:
    manager = {
        "stat_prefix": ROUTES,
        "rds": {"route_config_name": ROUTES, "config_source": config_source(layout.routes)},
        # Callers have private addresses, which Envoy trusts unless told whom to trust; this range holds nobody.
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "early_header_mutation_extensions": [_strip_internal_headers()],
        "preserve_external_request_id": True,
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "30s",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "model"},
        "http_filters": [_replica_filter(), _router_filter()],
        "local_reply_config": _local_replies(),
    }
    return _listener("public", layout.host, layout.http_port, manager)


def _strip_internal_headers() -> Json:
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": f"{TYPES}envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}}],
        },
    }


def _replica_filter() -> Json:
    """Return the filter that obeys x-assay-replica, switched off; the routes of labels switch it on."""
    state = f"{TYPES}envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"
    return {
        "name": REPLICA_FILTER,
        "disabled": True,
        "typed_config": {
            "@type": f"{TYPES}envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
            "session_state": {
                "name": "envoy.http.stateful_session.header",
                "typed_config": {"@type": state, "name": REPLICA_HEADER},
            },
        },
    }


def _router_filter() -> Json:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{TYPES}envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }


def _local_replies() -> Json:
    """Say in a sentence why no model answered."""
    sentences = {
        "UH": "No replica of %UPSTREAM_CLUSTER% is ready; the request is not given to another revision.\n",
        "UT": "The revision did not answer in time (spec.traffic.router.timeoutSeconds).\n",
    }
    return {
        "mappers": [
            {
                "filter": {"response_flag_filter": {"flags": [flag]}},
                "body_format_override": {"text_format_source": {"inline_string": sentence}},
            }
            for flag, sentence in sentences.items()
        ]
    }


def _metrics(layout: Layout) -> Json:
    def only(path: str, target: str) -> Json:
        get = {"name": ":method", "string_match": {"exact": "GET"}}
        return {
            "match": {"path": path, "headers": [get]},
            "route": {"cluster": "admin", "prefix_rewrite": target},
        }

    manager = {
        "stat_prefix": "metrics",
        "route_config": {
            "name": "metrics",
            "virtual_hosts": [
                {
                    "name": "metrics",
                    "domains": ["*"],
                    "routes": [only("/metrics", "/stats/prometheus"), only("/ready", "/ready")],
                }
            ],
        },
        "http_filters": [_router_filter()],
    }
    return {**_listener("metrics", layout.host, layout.metrics_port, manager), "ignore_global_conn_limit": True}


def _listener(name: str, host: str, port: int, manager: dict[str, Any]) -> Json:
    kind = f"{TYPES}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager_filter = {"name": "http", "typed_config": {"@type": kind, **manager}}
    return {"name": name, "address": _address(host, port), "filter_chains": [{"filters": [manager_filter]}]}


def _admin_cluster(layout: Layout) -> Json:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", layout.admin_port)}}
    return {
        "name": "admin",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "admin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
