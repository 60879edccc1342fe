"""No test fails because the machine was busy: Hypothesis is not to count milliseconds."""

from hypothesis import settings

settings.register_profile("assay", deadline=None)
settings.load_profile("assay")
