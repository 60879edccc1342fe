// The CRDs of the Gateway API, as its Go module carries them under config/crd.
module assay.dev/sandbox/gateway

go 1.26.0

require sigs.k8s.io/gateway-api v1.5.1
