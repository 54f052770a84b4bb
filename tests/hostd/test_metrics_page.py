"""`docs/metrics.md`: as fresh as the tables, and with every family there is."""

import re
from typing import Any

from hostd import telemetry
from hostd.exposition.known import LEFT_OUT
from hostd.metrics import DOMAIN_SCOPES, WORLD_SCOPES
from hostd.metrics.row import Scope
from tests.support.packaged import is_fresh, program


def test_the_page_is_as_fresh_as_the_tables() -> None:
    assert is_fresh("metrics.md", "write_metrics_page"), "docs/metrics.md is older than the tables: run make docs"


def test_every_family_is_on_the_page_once() -> None:
    reference = program("write_metrics_page").text().partition("## Coming from")[0]
    names = re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE)
    scopes: tuple[Scope[Any, Any, Any], ...] = (*WORLD_SCOPES, *DOMAIN_SCOPES, LEFT_OUT)
    ours = {metric.name.removesuffix("_bucket") for scope in scopes for metric in scope.metrics}
    own = {sample.name for family in telemetry.REGISTRY.collect() for sample in family.samples}
    assert len(set(names)) == len(names)
    assert ours < set(names)
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in own} <= set(names)
