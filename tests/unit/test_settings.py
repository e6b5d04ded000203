"""Settings: defaults, bounds, all problems at once, and no secret shown."""

from pathlib import Path

import pytest

from authsvc.errors import SettingsError
from authsvc.settings import PREFIX, Settings, load, mask_url

URLS = {
    "AUTHSVC_DATABASE_URL": "postgresql://app:s3cret@db/authsvc",
    "AUTHSVC_REDIS_URL": "redis://:hunter2@cache:6379/0",
}


def problems_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({}) == Settings()
    assert load({}).embedded


def test_the_environment_sets_every_kind_of_value() -> None:
    environ = URLS | {
        "AUTHSVC_PORT": "0",
        "AUTHSVC_LOG_DECISIONS": "false",
        "AUTHSVC_DATA_DIR": "/data",
        "AUTHSVC_LOG_LEVEL": "DEBUG",
    }
    settings = load(environ)
    assert (settings.port, settings.log_decisions, settings.data_dir, settings.log_level) == (
        0,
        False,
        Path("/data"),
        "DEBUG",
    )
    assert settings.database_url == URLS["AUTHSVC_DATABASE_URL"]
    assert not settings.embedded


def test_variables_of_others_are_not_looked_at() -> None:
    assert load({"PATH": "/bin", "PORT": "1", "XAUTHSVC_PORT": "2"}) == Settings()


def test_an_empty_variable_counts_as_absent() -> None:
    assert load({"AUTHSVC_DATABASE_URL": "", "AUTHSVC_PORT": ""}) == Settings()


def test_an_override_beats_the_environment_unless_it_is_none() -> None:
    settings = load({"AUTHSVC_PORT": "1000", "AUTHSVC_WORKERS": "3"}, port=2_000, workers=None)
    assert (settings.port, settings.workers) == (2_000, 3)


def test_every_problem_is_reported_at_once() -> None:
    environ = {
        "AUTHSVC_PORT": "http",
        "AUTHSVC_WORKERS": "0",
        "AUTHSVC_LOG_LEVEL": "loud",
        "AUTHSVC_DATABASE_URL": "mysql://db",
        "AUTHSVC_PG_POOL_MIN": "50",
        "AUTHSVC_BATCHMAX": "5",
    }
    names = [problem.replace("=", " ").replace(":", " ").split()[0] for problem in problems_of(environ)]
    assert names == sorted([*environ])


def test_the_error_text_names_each_problem_on_its_own_line() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"AUTHSVC_PORT": "70000", "AUTHSVC_WORKERS": "0"})
    first, *rest = str(caught.value).splitlines()
    assert first == "2 problem(s) in the settings:"
    assert [line.split("=")[0] for line in rest] == ["  - AUTHSVC_PORT", "  - AUTHSVC_WORKERS"]


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    assert problems_of({"AUTHSVC_WORKER": "2"}) == ["AUTHSVC_WORKER is not a setting; did you mean AUTHSVC_WORKERS?"]


def test_a_variable_in_lower_case_is_refused_rather_than_ignored() -> None:
    assert problems_of({"AUTHSVC_port": "2"}) == ["AUTHSVC_port is not a setting; did you mean AUTHSVC_PORT?"]


@pytest.mark.parametrize("name", sorted(URLS))
def test_one_of_the_two_urls_alone_is_refused(name: str) -> None:
    [problem] = problems_of({name: URLS[name]})
    assert "belong together" in problem


def test_a_bad_url_is_not_also_reported_as_missing() -> None:
    problems = problems_of(URLS | {"AUTHSVC_REDIS_URL": "memcached://cache"})
    assert problems == ["AUTHSVC_REDIS_URL: must start with redis://, rediss:// or unix://"]


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"AUTHSVC_PG_POOL_MIN": "9", "AUTHSVC_PG_POOL_MAX": "8"}, "AUTHSVC_PG_POOL_MIN must not be above"),
        ({"AUTHSVC_METRICS_PORT": "65535", "AUTHSVC_WORKERS": "2"}, "passes the last port"),
        ({"AUTHSVC_PORT": "9465", "AUTHSVC_WORKERS": "2"}, "AUTHSVC_PORT is also the metrics port"),
        ({"AUTHSVC_RECORD_TTL_MS": "15000"}, "AUTHSVC_RECORD_TTL_MS must be above"),
        ({"AUTHSVC_TLS_CERT_FILE": "a"}, "AUTHSVC_TLS_CERT_FILE and AUTHSVC_TLS_KEY_FILE belong together"),
        ({"AUTHSVC_TLS_CLIENT_CA_FILE": "a"}, "AUTHSVC_TLS_CLIENT_CA_FILE needs AUTHSVC_TLS_CERT_FILE"),
        (
            {"AUTHSVC_TLS_CA_FILE": "a", "AUTHSVC_TLS_CLIENT_KEY_FILE": "a"},
            "AUTHSVC_TLS_CLIENT_CERT_FILE and AUTHSVC_TLS_CLIENT_KEY_FILE belong together",
        ),
        (
            {"AUTHSVC_TLS_CLIENT_CERT_FILE": "a", "AUTHSVC_TLS_CLIENT_KEY_FILE": "a"},
            "AUTHSVC_TLS_CLIENT_CERT_FILE needs AUTHSVC_TLS_CA_FILE",
        ),
        ({"AUTHSVC_API_KEY": "a", "AUTHSVC_API_KEY_FILE": "a"}, "exclude each other"),
        ({"AUTHSVC_REQUIRE_CREDENTIALS": "never", "AUTHSVC_HOST": "0.0.0.0"}, "anybody could call"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], part: str) -> None:
    [problem] = problems_of(environ)
    assert part in problem


@pytest.mark.parametrize("name", [n for n, f in Settings.model_fields.items() if f.annotation is int])
def test_every_number_has_a_lower_and_an_upper_bound(name: str) -> None:
    for outside in ("-1", str(10**12)):
        assert f"{PREFIX}{name.upper()}={outside}" in problems_of({PREFIX + name.upper(): outside})[0]


@pytest.mark.parametrize(
    ("environ", "is_required"),
    [
        ({}, False),
        ({"AUTHSVC_HOST": "::1"}, False),
        ({"AUTHSVC_HOST": "0.0.0.0"}, True),
        ({"AUTHSVC_HOST": "authsvc.internal", "AUTHSVC_ALLOW_PLAINTEXT": "true"}, True),
        ({"AUTHSVC_REQUIRE_CREDENTIALS": "always"}, True),
        ({"AUTHSVC_REQUIRE_CREDENTIALS": "never"}, False),
        ({"AUTHSVC_REQUIRE_CREDENTIALS": "never", "AUTHSVC_HOST": "::", "AUTHSVC_ALLOW_PLAINTEXT": "true"}, False),
        (
            {
                "AUTHSVC_REQUIRE_CREDENTIALS": "never",
                "AUTHSVC_HOST": "::",
                "AUTHSVC_TLS_CERT_FILE": "a",
                "AUTHSVC_TLS_KEY_FILE": "a",
                "AUTHSVC_TLS_CLIENT_CA_FILE": "a",
            },
            False,
        ),
    ],
)
def test_credentials_are_required_beyond_loopback_unless_the_settings_say_otherwise(
    environ: dict[str, str], *, is_required: bool
) -> None:
    assert load(environ).credentials_required == is_required


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_effective_settings_show_no_secret() -> None:
    shown = load(URLS).effective()
    assert shown["database_url"] == "postgresql://***@db/authsvc"
    assert shown["redis_url"] == "redis://***@cache:6379/0"
    assert shown.keys() == Settings.model_fields.keys()


def test_an_api_key_is_shown_nowhere() -> None:
    settings = load({"AUTHSVC_API_KEY": "authsvc_s3cret"})
    assert settings.effective()["api_key"] == "***"
    problems = problems_of({"AUTHSVC_API_KEY": "authsvc_s3cret two words"})
    assert problems == ["AUTHSVC_API_KEY: must be one word of printable ASCII"]
    assert "s3cret" not in repr(settings)


def test_neither_repr_nor_error_text_shows_a_secret() -> None:
    assert "s3cret" not in repr(load(URLS))
    assert "s3cret" not in "\n".join(problems_of({"AUTHSVC_DATABASE_URL": "psql://app:s3cret@db"}))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:a/b@h/d", "postgresql://***@h/d"),
        ("postgresql://u:a?b@h/d", "postgresql://***@h/d"),
        ("postgresql://u:a@b@h/d", "postgresql://***@h/d"),
        (
            "postgresql://h/d?user=u&Password=p&sslmode=require",
            "postgresql://h/d?user=***&Password=***&sslmode=require",
        ),
        ("unix:///run/v.sock?db=1&password=p", "unix:///run/v.sock?db=1&password=***"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
    ],
)
def test_a_masked_url_keeps_everything_but_the_credentials(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
