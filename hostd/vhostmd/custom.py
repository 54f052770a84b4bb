"""The operator's own metrics out of hostd's tables: `metric = "a name on /metrics"`, found once, looked up each time.

What several series have that are meant is added up; what is not known makes no metric.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, TypeAlias

from hostd.config import ConfigError
from hostd.metrics import DOMAIN_SCOPES, WORLD_SCOPES
from hostd.metrics.row import Metric, Scope
from hostd.settings import VhostmdMetric, VhostmdSettings

_Scope: TypeAlias = Scope[Any, Any, Any]
_Family: TypeAlias = tuple[_Scope, Metric[Any]]

_SCOPES: Mapping[str, Sequence[_Scope]] = {"host": WORLD_SCOPES, "vm": DOMAIN_SCOPES}
_FAMILIES: Mapping[str, Mapping[str, _Family]] = {
    context: {metric.name: (scope, metric) for scope in scopes for metric in scope.metrics}
    for context, scopes in _SCOPES.items()
}
_OTHER = {
    "host": 'there is one of each domain; write context = "vm"',
    "vm": 'it is the host\'s; write context = "host"',
}
_MOST_NAMES = 3  # that are offered in place of one that is not known

_FORMS: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(("int32", "uint32", "int64", "uint64"), lambda value: str(int(value))),
    **dict.fromkeys(("real32", "real64"), "{:.6f}".format),
}
"""How a number is written where the type says so; else with as few digits as it has."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where a value of the operator's is: of the World for the host's, of a Domain for a VM's."""

    scope: _Scope
    is_age: bool
    value: Callable[[Any], float | None]  # of an item of the scope
    labels: Mapping[str, str]
    form: Callable[[float], str]

    def text(self, owner: object, now: float) -> str | None:
        """What it comes to, in words; None if nothing is known.

        Raises:
            ValueError: it is not finite. Others (TypeError, …), where what is counted is not even a number.

        """
        part = self.scope.part(owner)
        known = [] if part is None else list(self._values(part, now))
        if not known:
            return None
        value = sum(known)
        if not math.isfinite(value):
            raise ValueError(f"not a number that can be told: {value!r}")
        return self.form(value)

    def _values(self, part: object, now: float) -> Iterable[float]:
        for labels, item in self.scope.items(part):
            value = self.value(item) if self._is_meant(labels) else None
            if value is not None:
                yield max(0.0, now - value) if self.is_age else value

    def _is_meant(self, labels: Sequence[Any]) -> bool:
        if not self.labels:
            return True
        names = self.scope.labels
        return self.labels.items() <= dict(labels if names is None else zip(names, labels, strict=True)).items()


def lookup_of(metric: VhostmdMetric, where: str) -> Lookup:
    """What the setting at `where` means.

    Raises:
        ConfigError: there is no metric of that name, it is not of that context, or has no such label.

    """
    family = _FAMILIES[metric.context].get(metric.metric)
    if family is None:
        raise ConfigError(f"{where}.metric: {metric.metric!r} {_why_not(metric)}")
    scope, row = family
    for label in metric.labels:
        if scope.labels is not None and label not in scope.labels:
            has = f"its labels are {', '.join(scope.labels)}" if scope.labels else "it has none"
            raise ConfigError(f"{where}.labels: {metric.metric} has no label {label!r}; {has}")
    return Lookup(
        scope=scope,
        is_age=row.is_age,
        value=attrgetter(row.path) if row.path else lambda item: item,
        labels=metric.labels,
        form=_FORMS.get(metric.type, str),
    )


def check(settings: VhostmdSettings, where: str = "vhostmd") -> None:
    """Look for every metric that is named, as making the documents does.

    Raises:
        ConfigError: one is not there; the message begins with `where`.

    """
    for at, metric in enumerate(settings.metric):
        if metric.metric:
            lookup_of(metric, f"{where}.metric[{at}]")


def _why_not(metric: VhostmdMetric) -> str:
    other = "vm" if metric.context == "host" else "host"
    if metric.metric in _FAMILIES[other]:
        return f"is not of context {metric.context!r}: {_OTHER[metric.context]}"
    near = get_close_matches(metric.metric, _FAMILIES[metric.context], n=_MOST_NAMES)
    hint = f"is it {' or '.join(near)}?" if near else "docs/metrics.md has them all"
    return f"is none of hostd's metrics; {hint}"
