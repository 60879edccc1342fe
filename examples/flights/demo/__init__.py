"""The demo: two releases, watched."""
