"""The process: kopf wiring, the work queue, settings, the command line."""
