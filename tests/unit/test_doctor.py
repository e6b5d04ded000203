"""What the doctor makes of what it reads."""

from pathlib import Path

import pytest

from authsvc.doctor import counters, servers, tables
from authsvc.doctor.facts import IdleSlot, IndexUse, LongTransaction, PostgresFacts, SlowStatement, Standby, TableSize
from authsvc.doctor.finding import Finding, exit_code
from authsvc.doctor.metrics import DoctorMetrics
from authsvc.errors import SettingsError
from authsvc.settings import PREFIX, load
from rules.reasons import Window
from rules.windows import window_bounds

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "window"),
    [("c12:d", Window.DAILY), ("p7:w", Window.WEEKLY), ("c12:m", Window.MONTHLY), ("c1:y", Window.YEARLY)],
)
def test_the_name_of_a_counter_tells_its_window(name: str, window: Window) -> None:
    start_us, end_us = window_bounds(window, 1_762_300_800_000_000, "America/New_York")
    counter = counters.counter_of(f"{name}:{(start_us or 0) // 1_000_000}", "America/New_York")
    assert (counter.start_us, counter.end_us, counter.entity_id) == (
        start_us,
        end_us,
        int(name[1:].split(":", maxsplit=1)[0]),
    )


def test_each_judgement_knows_bad_from_good() -> None:
    table, mb = TableSize("t", 100_000, 60_000, 3 * 1024**3), 1024**2
    cases = [
        (servers.postgres(PostgresFacts(140_009, "14.9", in_recovery=False)), "failed"),
        (servers.postgres(PostgresFacts(180_000, "18.0", in_recovery=True)), "failed"),
        (servers.redis({"redis_version": "6.2.6", "role": "master"}), "failed"),
        (servers.redis({"redis_version": "7.2.4", "role": "slave"}), "failed"),
        (servers.eviction({"maxmemory_policy": "allkeys-lru"}), "failed"),
        (servers.eviction({}), "skipped"),
        (servers.clocks({"PostgreSQL": 2_000_000, "Redis": 0}), "warning"),
        (servers.clocks({"PostgreSQL": -70_000_000, "Redis": 0}), "failed"),
        (servers.replication([Standby("b", "streaming", 20, 100)], []), "ok"),
        (servers.replication([Standby("b", "streaming", 20_000, 100)], []), "warning"),
        (servers.replication([Standby("b", "streaming", 400_000, 100)], []), "failed"),
        (servers.replication([Standby("b", "catchup", None, None)], []), "warning"),
        (servers.replication([], [IdleSlot("gone", 5 * mb)]), "warning"),
        (tables.growth([table], {"t": mb}, 1), "warning"),
        (tables.growth([table], {"t": 3 * 1024**3 - mb}, 1), "ok"),
        (tables.dead_rows([table]), "warning"),
        (tables.indexes([IndexUse("i", False, True, 1, 1)]), "failed"),
        (tables.indexes([IndexUse("i", True, False, 0, 100 * mb)]), "warning"),
        (tables.indexes([IndexUse("i", True, True, 0, 100 * mb)]), "ok"),
        (tables.foreign_keys({"t.k": 50_000}), "warning"),
        (tables.joins([SlowStatement("SELECT", 10, 2.0)]), "ok"),
        (tables.long_transactions([LongTransaction(1, "psql", "idle in transaction", 400)]), "warning"),
        (tables.long_transactions([LongTransaction(1, "psql", "idle in transaction", 4_000)]), "failed"),
    ]
    assert [(one.check, one.state) for one, _ in cases] == [(one.check, state) for one, state in cases]
    assert exit_code([]) == 0
    assert exit_code(one for one, _ in cases) == 2


def test_a_check_has_the_worst_state_of_its_findings_in_the_metrics() -> None:
    found = DoctorMetrics()
    found.record(
        [Finding("indexes", "ok", ""), Finding("disk", "failed", ""), Finding("disk", "skipped", "")], 2_500_000
    )
    samples = {
        (sample.labels["check"], sample.labels["state"]): sample.value
        for family in found.registry.collect()
        for sample in family.samples
        if sample.name == "authsvc_doctor_check"
    }
    assert {pair for pair, value in samples.items() if value == 1} == {("indexes", "ok"), ("disk", "failed")}
    assert len(samples) == 2 * 4
    assert found.registry.get_sample_value("authsvc_doctor_last_run_timestamp_seconds") == 2.5


@pytest.mark.parametrize("page", ["operating.md", "grafana/authsvc.json", "prometheus/alerts.yml"])
def test_every_metric_of_the_doctor_is_where_people_look_for_it(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [family.name for family in DoctorMetrics().registry.collect() if family.name not in text] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LITHIC_ENVIRONMENT", "http://api.example.com"),
        ("LITHIC_ENVIRONMENT", "https://user:word@api.example.com"),
        ("LITHIC_ENVIRONMENT", "staging"),
        ("LITHIC_API_KEY", "two words-nobody-may-see"),
    ],
)
def test_a_key_is_not_sent_where_others_can_read_it_and_never_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({PREFIX + name: value})
    [problem] = caught.value.problems
    assert problem.startswith(PREFIX + name)
    assert "nobody-may-see" not in problem


def test_one_key_of_lithic_is_given_one_way_and_masked() -> None:
    settings = load({"AUTHSVC_LITHIC_API_KEY": "a-key", "AUTHSVC_LITHIC_ENVIRONMENT": "http://127.0.0.1:8000"})
    assert settings.effective()["lithic_api_key"] == "***"
    assert "a-key" not in repr(settings)
    with pytest.raises(SettingsError, match="exclude each other"):
        load({"AUTHSVC_LITHIC_API_KEY": "a-key", "AUTHSVC_LITHIC_API_KEY_FILE": "key"})
