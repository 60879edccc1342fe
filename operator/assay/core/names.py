"""Names that other programs and people rely on: labels, headers, ports, metrics, children."""

FIELD_MANAGER = "assay"

DEPLOYMENT_LABEL = "assay.dev/deployment"  # on every child and every pod: the ModelDeployment's name
REVISION_LABEL = "assay.dev/revision"  # on a revision's Deployment, Service and pods: 8 hex digits
COMPONENT_LABEL = "app.kubernetes.io/component"  # model | router
MANAGED_BY = {"app.kubernetes.io/managed-by": "assay"}

REVISION_HEADER = "x-assay-revision"  # request: asks for a revision; response: names the one that answered
REPLICA_HEADER = "x-assay-replica"  # response: which pod answered; request with labels: for which pod they are
PREDICTION_HEADER = "x-assay-prediction-id"  # response: the id under which the label of this prediction is sent
OUTCOMES_PATH = "/assay/outcomes"  # POST labels here, with the first two headers of the prediction's answer

ROUTER_PORT = 10000  # what the Service `m` targets
ROUTER_METRICS_PORT = 9902  # GET /metrics, port name "metrics"
ROUTER_ADMIN_PORT = 9901  # Envoy's admin interface, loopback only

SPLIT_KEY = "split.json"  # key of the split in ConfigMap <m>-router
CONFIG_MAP = "{name}-router"
ACKS_CONFIG_MAP = "{name}-router-acks"  # data: router pod name -> generation it has applied, as a decimal string

# What Prometheus makes of a pod's labels (see docs/reference/metrics.md).
METRIC_DEPLOYMENT = "assay_deployment"  # the ModelDeployment, from the pod's label
METRIC_REVISION = "assay_revision"  # from a model pod's label; on routers, Envoy says which one answered
METRIC_VIA = "assay_via"  # split: by weight; direct: by request header, counted apart
REQUESTS_METRIC = "envoy_cluster_upstream_rq_xx"  # labels above, envoy_response_code_class="2".."5"
LATENCY_METRIC = "envoy_cluster_upstream_rq_time"  # histogram, milliseconds
# Its bounds. Neighbours differ by at most a quarter above 20 ms, so that a quantile can be read from the counts.
LATENCY_BOUNDS_MS = (
    *(1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 25, 30, 37, 45, 55, 68, 82, 100, 120, 150, 180, 220, 270, 330, 400),
    *(500, 600, 750, 900, 1100, 1350, 1650, 2000, 2500, 3000, 3700, 4500, 5500, 6800, 8200, 10_000, 12_000, 15_000),
    *(18_000, 22_000, 27_000, 33_000, 40_000, 50_000, 60_000, 120_000, 300_000, 900_000, 3_600_000),
)
OUTCOMES_METRIC = "assay_outcomes_total"  # from model pods, with the labels outcome and age_seconds="60"
OUTCOMES = UNLABELLED, WRONG, CORRECT = "unlabelled", "wrong", "correct"
