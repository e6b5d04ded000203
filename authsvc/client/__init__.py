"""An asyncio client of the authorization service: `await client.authorize(...)`, many at once over a few connections.

    async with AuthorizationClient("127.0.0.1:50051") as client:
        response = await client.authorize(card_token="card_demo_open", amount_minor=1250, merchant={"mcc": "5812"})

A request that meets a broken connection or a part that is down is sent again with the same `request_id`, so that it
counts once; after a timeout the caller may do the same, and is told what was decided.
"""

from authsvc.client.client import AuthorizationClient, to_dict
from authsvc.client.credentials import Presented, presented_to
from authsvc.client.failures import ClientError, DeadlineExceeded

__all__ = ["AuthorizationClient", "ClientError", "DeadlineExceeded", "Presented", "presented_to", "to_dict"]
