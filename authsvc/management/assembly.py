"""Puts the management services together."""

from authsvc.management.audit_servicer import AuditServicer
from authsvc.management.bulk import Bulk
from authsvc.management.bulk_servicer import BulkServicer
from authsvc.management.manage import Management
from authsvc.management.servicer import Callers, resource_servicers
from authsvc.management.shapes import Store
from authsvc.metrics import Metrics
from authsvc.v1 import management_pb2 as pb


def management_on(store: Store, callers: Callers, metrics: Metrics) -> dict[str, object]:
    """The servicers, by the full names of their services."""
    management = Management(store)
    bulk = BulkServicer(Bulk(store, management), callers, metrics)
    services = pb.DESCRIPTOR.services_by_name
    return {
        services["BulkService"].full_name: bulk,
        services["AuditService"].full_name: AuditServicer(store, callers, metrics),
        **resource_servicers(management, callers, metrics),
    }
