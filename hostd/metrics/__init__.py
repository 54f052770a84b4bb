"""Every metric made from the World: the tables, and nothing else. `row` says what a row is.

To add a metric: a row in the file of its subject. To add a subject: a file with `SCOPES`, named below.
"""

from typing import Any

from hostd.metrics import (
    block,
    connection,
    details,
    domain,
    event,
    facts,
    guest,
    host,
    interface,
    iotune,
    kvm,
    objects,
    perf,
    storage,
)
from hostd.metrics.row import Scope
from hostd.model.domain import Domain
from hostd.model.world import World

WORLD_SCOPES: tuple[Scope[World, Any, Any], ...] = (
    *connection.SCOPES,
    *host.SCOPES,
    *storage.SCOPES,
    *objects.SCOPES,
    *event.WORLD_SCOPES,
)
DOMAIN_SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    *domain.SCOPES,
    *event.DOMAIN_SCOPES,
    *interface.SCOPES,
    *block.SCOPES,
    *iotune.SCOPES,
    *kvm.SCOPES,
    *perf.SCOPES,
    *facts.SCOPES,
    *details.SCOPES,
    *guest.SCOPES,
)

CONNECTION_LABEL = "connection"
"""The first label of every sample of a World whose connection has a name."""

DOMAIN_LABELS = ("domain", "uuid")
"""What every sample of a domain is labelled with next; both from libvirt, never from the guest."""
