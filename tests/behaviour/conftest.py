"""Every test here runs twice: on the stand-ins of the simulation, and on real servers."""

from collections.abc import AsyncIterator

import pytest

from tests.behaviour.places import Place, real_place, simulated_place


@pytest.fixture(params=["simulated", "real"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The ports, on the program that tests/behaviour/places.py describes."""
    if request.param == "simulated":
        yield simulated_place()
        return
    urls = [request.getfixturevalue(name) for name in ("database_url", "redis_url")]
    async with real_place(*urls) as opened:
        yield opened
