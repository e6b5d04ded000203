"""`authsvc demo`."""


def demo() -> None:
    """See card traffic authorized."""
