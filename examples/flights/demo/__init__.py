"""The demo: four releases, watched."""
