"""The only floor that talks to the world: Kubernetes, Prometheus."""
