"""A real Prometheus on loopback, which scrapes what a test serves."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from assay.adapters.prometheus import PrometheusMetrics
from assay.sandbox.programs import build_program
from router.rig import free_ports


@contextmanager
def prometheus(folder: Path, *jobs: Mapping[str, Any]) -> Iterator[PrometheusMetrics]:
    """Run Prometheus with these scrape configurations, and ask it as the operator does."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": list(map(dict, jobs))}))
    (port,) = free_ports(1)
    options = {"config.file": "prometheus.yml", "storage.tsdb.path": "data", "web.listen-address": f"127.0.0.1:{port}"}
    program = str(build_program("prometheus", lambda *_: None))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *(f"--{name}={value}" for name, value in options.items())], cwd=folder, stdout=log, stderr=log
        )
    metrics = PrometheusMetrics(f"http://127.0.0.1:{port}", interval=0)
    try:
        yield metrics
    finally:
        metrics.close()
        process.kill()
        process.wait()
