"""The data plane: Envoy and the agent that feeds it."""
