"""A whole, unmodified single-node Kubernetes on one machine."""
