"""The demo: three releases, watched."""
