"""The bridge: Lithic asks over HTTP, the service answers over gRPC. It knows the service by its client only."""
