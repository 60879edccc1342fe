"""What it all means: decisions, traffic, manifests, conditions. Pure."""
