"""What a scrape shows after some traffic, and that the dashboard asks for nothing that is not there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from authsvc.bridge.metrics import BridgeMetrics
from authsvc.doctor.metrics import DoctorMetrics
from authsvc.embedded import Servers
from authsvc.v1 import types_pb2 as types
from tests.serving import (
    Running,
    held_back,
    next_answer,
    refusal,
    request,
    serving,
    serving_module,
    until,
    until_held_back,
)

module_loop = pytest.mark.asyncio(loop_scope="module")
DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "authsvc.json"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


async def scrape(running: Running) -> Samples:
    """Every sample that Prometheus would read, by name and labels."""
    text = await asyncio.to_thread(_read, f"http://127.0.0.1:{running.service.metrics_port}/metrics")
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def _read(url: str) -> str:
    with urlopen(url, timeout=10) as response:
        return str(response.read().decode())


class Moved:
    """What a part of a test added to the counters."""

    def __init__(self, before: Samples, after: Samples) -> None:
        self._before, self._after = before, after

    def by(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return self._after[key] - self._before.get(key, 0)


@module_loop
async def test_decisions_are_counted_by_decision_reason_and_level(running: Running) -> None:
    before = await scrape(running)
    await running.batch(
        request(), request(), request("card_demo_closed"), request("card_demo_zero"), request("card_nobody")
    )
    part = request("card_demo_daily", amount_minor=30_000, partial_approval_capable=True)
    await running.authorize(part)
    moved = Moved(before, await scrape(running))
    name = "authsvc_decisions_total"
    assert moved.by(name, decision="APPROVED", reason="APPROVED", level="UNSPECIFIED") == 2
    assert moved.by(name, decision="DECLINED", reason="CARD_CLOSED", level="CARD") == 1
    assert moved.by(name, decision="DECLINED", reason="CARD_LIMIT_EXCEEDED", level="CARD") == 1
    assert moved.by(name, decision="DECLINED", reason="UNKNOWN_CARD", level="CARD") == 1
    assert moved.by(name, decision="PARTIALLY_APPROVED", reason="CARD_LIMIT_EXCEEDED", level="CARD") == 1
    assert moved.by("authsvc_decision_seconds_count") == 6


@module_loop
async def test_replays_and_errors_are_counted(running: Running) -> None:
    before = await scrape(running)
    asked = request()
    for _ in range(3):
        await running.authorize(asked)
    await refusal(running.authorize(request(amount_minor=-1)))
    await running.stream(request(currency="EUR"))
    await refusal(running.authorize(request(request_id=asked.request_id, amount_minor=3)))
    moved = Moved(before, await scrape(running))
    assert moved.by("authsvc_replays_total") == 2
    assert moved.by("authsvc_errors_total", status="INVALID_ARGUMENT") == 2
    assert moved.by("authsvc_errors_total", status="ALREADY_EXISTS") == 1


@module_loop
async def test_batches_are_measured_by_size_and_stage(running: Running) -> None:
    await running.authorize(request())
    before = await scrape(running)
    async with held_back(running, "card_demo_open") as blocker:
        ahead = asyncio.ensure_future(running.authorize(request()))
        await until_held_back(running, blocker)
        together = asyncio.gather(*(running.authorize(request()) for _ in range(40)))
        await until(lambda: running.service.decider.in_flight == 41)
        assert (await scrape(running))[("authsvc_in_flight", frozenset())] == 41
    assert len(await together) == 40
    assert (await ahead).decision == types.DECISION_APPROVED
    moved = Moved(before, await scrape(running))
    assert (moved.by("authsvc_batch_size_count"), moved.by("authsvc_batch_size_sum")) == (2, 41)
    assert moved.by("authsvc_batch_size_bucket", le="1.0") == 1
    for stage in ("reserve", "record"):
        assert moved.by("authsvc_stage_seconds_count", stage=stage) == 2
        assert moved.by("authsvc_stage_seconds_sum", stage=stage) > 0


@module_loop
async def test_hits_misses_and_loads_of_the_directory_are_counted(running: Running) -> None:
    before = await scrape(running)
    await running.authorize(request("card_never_seen"))
    await running.authorize(request("card_never_seen"))
    await running.authorize(request())
    moved = Moved(before, await scrape(running))
    assert moved.by("authsvc_directory_loads_total") == 1
    assert moved.by("authsvc_directory_hits_total") >= 1
    assert moved.by("authsvc_directory_misses_total") >= 2
    assert moved.by("authsvc_directory_unknown_hits_total") >= 1


@module_loop
async def test_a_decision_that_the_fence_refused_is_counted_as_a_retry(running: Running) -> None:
    await running.authorize(request("card_demo_new_york"))
    before = await scrape(running)
    async with held_back(running, "card_demo_new_york") as blocker:
        late = asyncio.ensure_future(running.authorize(request("card_demo_new_york")))
        await until_held_back(running, blocker)
        # What the decision waits for turns out to be a change of its own account.
        await blocker.execute("UPDATE cards SET status = 'closed' WHERE lithic_card_token = 'card_demo_new_york'")
    assert (await late).reason == types.REASON_CARD_CLOSED
    assert Moved(before, await scrape(running)).by("authsvc_fence_retries_total") == 1


@module_loop
async def test_rebuilds_and_loads_of_counters_are_counted(running: Running) -> None:
    await running.authorize(request("card_demo_yearly"))
    before = await scrape(running)
    await running.redis.flushdb()
    await running.authorize(request("card_demo_yearly"))
    moved = Moved(before, await scrape(running))
    assert moved.by("authsvc_rebuilds_total") == 1
    # The balance, the holds, and the year of the card.
    assert moved.by("authsvc_counters_loaded_total") == 3


@module_loop
async def test_an_abandoned_reservation_is_counted_when_it_is_found(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, reaper_grace_ms=10, reaper_interval_ms=10) as running:
        await running.authorize(request())
        (key,) = await running.counters()
        name = f"{'0' * 32}/1/request-of-a-worker-that-died"
        await running.redis.zadd(f"{key}:p", {name: 1})

        async def reaped() -> bool:
            return (await scrape(running))[("authsvc_reaped_reservations_total", frozenset())] == 1

        await until(reaped)
        assert (await scrape(running))[("authsvc_rebuilds_total", frozenset())] >= 1


@module_loop
async def test_parts_pools_and_streams_are_shown_as_they_are(running: Running) -> None:
    call = running.stub.AuthorizeStream()
    await call.write(request())
    await next_answer(call)
    samples = await scrape(running)

    def value(name: str, **labels: str) -> float:
        return samples[(name, frozenset(labels.items()))]

    assert {value("authsvc_part_up", part=part) for part in ("database", "counters")} == {1}
    assert value("authsvc_listener_up") == 1
    assert value("authsvc_directory_cards") >= 20
    assert value("authsvc_streams") == 1
    for pool in ("ledger", "recorder"):
        assert 0 <= value("authsvc_pool_idle", pool=pool) <= value("authsvc_pool_size", pool=pool)
        assert value("authsvc_pool_size", pool=pool) <= value("authsvc_pool_size_max", pool=pool)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert (await scrape(running))[("authsvc_streams", frozenset())] == 0


def expressions(panel: Any) -> list[str]:
    """Every PromQL expression in the dashboard, however deep."""
    if isinstance(panel, dict):
        own = [panel["expr"]] if "expr" in panel else []
        return own + [found for value in panel.values() for found in expressions(value)]
    if isinstance(panel, list):
        return [found for value in panel for found in expressions(value)]
    return []


@module_loop
async def test_every_metric_of_the_dashboard_is_in_a_scrape(running: Running) -> None:
    await running.authorize(request())
    scraped = {name for name, _ in await scrape(running)}
    # Of the bridge and the doctor, and of what only services with replicas have samples of.
    registries = (BridgeMetrics().registry, DoctorMetrics().registry, running.service.metrics.registry)
    for family in [family for registry in registries for family in registry.collect()]:
        scraped |= {family.name, f"{family.name}_total", f"{family.name}_bucket"}
    asked = {
        name for text in expressions(json.loads(DASHBOARD.read_text())) for name in re.findall(r"authsvc_\w+", text)
    }
    assert asked
    assert asked <= scraped


@module_loop
async def test_every_metric_but_bookkeeping_is_on_the_dashboard(running: Running) -> None:
    await refusal(running.authorize(request(amount_minor=-1)))
    scraped = {name for name, _ in await scrape(running) if name.startswith("authsvc_")}
    families = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in scraped}
    shown = " ".join(expressions(json.loads(DASHBOARD.read_text())))
    assert {name for name in families if not re.search(rf"\b{name}", shown)} == set()


def test_the_panels_of_the_dashboard_have_titles_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken
        taken |= cells
    assert max(x for x, _ in taken) < 24
