"""Puts the management services together."""

from authsvc.clock import Clock
from authsvc.management.audit_servicer import AuditServicer
from authsvc.management.bulk import Bulk
from authsvc.management.bulk_servicer import BulkLimits, BulkServicer
from authsvc.management.manage import Management
from authsvc.management.servicer import Callers, resource_servicers
from authsvc.management.shapes import Store
from authsvc.metrics import Metrics
from authsvc.settings import Settings
from authsvc.v1 import management_pb2 as pb


def management_on(
    store: Store, callers: Callers, settings: Settings, clock: Clock, metrics: Metrics
) -> dict[str, object]:
    """The servicers, by the full names of their services."""
    # Half of the pool is for others, always.
    limits = BulkLimits(settings.bulk_timeout_ms / 1000, max(1, settings.pg_pool_max // 2))
    management = Management(store, clock)
    bulk = BulkServicer(Bulk(store, management), callers, metrics, limits)
    services = pb.DESCRIPTOR.services_by_name
    return {
        services["BulkService"].full_name: bulk,
        services["AuditService"].full_name: AuditServicer(store, callers, metrics),
        **resource_servicers(management, callers, metrics),
    }
