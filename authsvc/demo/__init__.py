"""The demonstration: realistic traffic on a sample program, sent to the service, and what came of it."""

from authsvc.demo.show import show, step

__all__ = ["show", "step"]
