"""Settings come from the environment, from options, from defaults; and say what is wrong with them."""

import pytest

from assay.app.settings import Settings
from assay.core.errors import InvalidSpec


def test_without_anything_the_defaults_hold() -> None:
    assert Settings.from_env({}) == Settings()


def test_the_environment_overrides_defaults_and_options_override_both() -> None:
    env = {
        "ASSAY_WORKERS": "3",
        "ASSAY_NAMESPACES": "a, b,",
        "ASSAY_LOG_FORMAT": "json",
        "ASSAY_PROMETHEUS_INTERVAL": "1",
    }

    settings = Settings.from_env(env, workers=5, namespaces=(), log_format=None)

    assert settings.workers == 5
    assert settings.namespaces == ("a", "b")
    assert settings.log_format == "json"
    assert settings.prometheus_interval == 1.0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ASSAY_WORKERS", "many", "ASSAY_WORKERS must be a number, not 'many'."),
        ("ASSAY_WORKERS", "0", "ASSAY_WORKERS must lie between 1 and 256, not be 0."),
        ("ASSAY_HTTP_PORT", "70000", "ASSAY_HTTP_PORT must lie between 0 and 65535, not be 70000."),
        ("ASSAY_PROMETHEUS_INTERVAL", "nan", "ASSAY_PROMETHEUS_INTERVAL must lie between 0 and 3600, not be nan."),
        ("ASSAY_LOG_LEVEL", "loud", "ASSAY_LOG_LEVEL must be one of debug, info, warning, error."),
        ("ASSAY_LOG_FORMAT", "xml", "ASSAY_LOG_FORMAT must be one of text, json."),
        ("ASSAY_LEASE", "assay", "ASSAY_LEASE must be namespace/name, both as Kubernetes names, not 'assay'."),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_name(name: str, value: str, sentence: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        Settings.from_env({name: value})

    assert str(caught.value) == sentence
