"""Puts the management services together."""

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
    name = pb.DESCRIPTOR.services_by_name["BulkService"].full_name
    return {name: bulk, **resource_servicers(management, callers, metrics)}
