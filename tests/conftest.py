"""Hypothesis without deadlines: a loaded machine is not a failing example."""

from hypothesis import HealthCheck, settings

settings.register_profile("virtwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("virtwire")
