"""A client that somebody else would write: made from the protos and nothing else of this project. Run by its test.

Arguments: the folder of the installed packages, the folder of the generated code, HOST:PORT. Prints JSON.
"""

import json
import sys

PACKAGES, GENERATED, TARGET = sys.argv[1:]
sys.path[:0] = [GENERATED]
sys.path.append(PACKAGES)

import grpc  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: E402
    ProtoReflectionDescriptorDatabase,
)

from authsvc.v1 import authorization_pb2 as pb  # noqa: E402
from authsvc.v1 import types_pb2 as types  # noqa: E402
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub  # noqa: E402

SERVICE = "authsvc.v1.AuthorizationService"
TIMEOUT_S = 20


def request(request_id: str, amount_minor: int) -> pb.AuthorizeRequest:
    made = pb.AuthorizeRequest(
        request_id=request_id,
        card_token="card_demo_open",
        kind=types.KIND_AUTHORIZATION,
        amount_minor=amount_minor,
        currency="USD",
        merchant=types.Merchant(mcc="5812"),
    )
    made.transacted_at.GetCurrentTime()
    return made


def main() -> None:
    channel = grpc.insecure_channel(TARGET)
    stub = AuthorizationServiceStub(channel)
    unary = stub.Authorize(request("generated-unary", 100), timeout=TIMEOUT_S)
    stream = stub.AuthorizeStream(
        (request(f"generated-stream-{number}", 100 + number) for number in range(20)), timeout=TIMEOUT_S
    )
    batch = stub.BatchAuthorize(
        pb.BatchAuthorizeRequest(requests=[request(f"generated-batch-{number}", 200 + number) for number in range(20)]),
        timeout=TIMEOUT_S,
    )
    refusal = None
    try:
        stub.Authorize(request("", 100), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        refusal = [error.code().name, error.details()]
    health = health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service=SERVICE), timeout=TIMEOUT_S
    )
    reflected = ProtoReflectionDescriptorDatabase(channel)
    methods = reflected.FindFileContainingSymbol(SERVICE).service[0].method
    result = {
        "unary": [unary.request_id, unary.approved_minor],
        "stream": {
            result.request_id: result.response.approved_minor for answers in stream for result in answers.results
        },
        "batch": [[result.request_id, result.response.approved_minor] for result in batch.results],
        "refusal": refusal,
        "health": health_pb2.HealthCheckResponse.ServingStatus.Name(health.status),
        "services": sorted(reflected.get_services()),
        "methods": [method.name for method in methods],
        "files": [str(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)],
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
