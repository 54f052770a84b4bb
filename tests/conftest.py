"""Hypothesis without deadlines: a loaded machine is not a failing example, nor is one that grew too long."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "virtwire", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("virtwire")
