"""What a client takes, by its headers (RFC 9110). Pure."""


def takes_openmetrics(accept: str) -> bool:
    """Whether it knows OpenMetrics; who does not, or says nothing, gets the plain format."""
    return "application/openmetrics-text" in accept


def takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is welcome: named, or meant by `*`, and not with a weight of 0."""
    weights = dict(_weighed(coding) for coding in accept_encoding.lower().split(","))
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weighed(coding: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in coding.split(";"))
    weights = [value for key, _, value in (p.partition("=") for p in parameters) if key.strip() == "q"]
    try:
        return name, float(weights[0]) if weights else 1.0
    except ValueError:  # no number is no wish
        return name, 0.0
