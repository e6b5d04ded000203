"""Every test here runs twice: on the stand-ins of the simulation, and on real servers."""

from collections.abc import AsyncIterator

import pytest

from tests.behaviour.places import Place, real_place, simulated_place


@pytest.fixture(params=["simulated", "real"])
def urls(request: pytest.FixtureRequest) -> tuple[str, str] | None:
    """Where the real servers are, started only when they are wanted."""
    if request.param == "simulated":
        return None
    return request.getfixturevalue("database_url"), request.getfixturevalue("redis_url")


@pytest.fixture
async def place(urls: tuple[str, str] | None) -> AsyncIterator[Place]:
    """The ports, on the program that tests/behaviour/places.py describes."""
    if urls is None:
        yield simulated_place()
        return
    async with real_place(*urls) as opened:
        yield opened
