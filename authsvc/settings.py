"""Every setting of the service, in one frozen model. The only module that reads the environment.

A setting `port` is the environment variable `AUTHSVC_PORT`. An empty variable counts as absent. A variable that starts
with `AUTHSVC_` and is not a setting is refused, because it is most likely a typing error. (Kubernetes invents such
variables for a Service that is called authsvc: set `enableServiceLinks: false` on the pod.)
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from authsvc import setting_texts
from authsvc.bridge.signature import key_of
from authsvc.errors import SettingsError
from authsvc.setting_texts import PORT_MAX, is_loopback, listed

PREFIX: Final = "AUTHSVC_"
MASK: Final = "***"
SECRET_FIELDS: Final = frozenset(
    {"database_url", "redis_url", "bridge_asa_secrets", "bridge_event_secrets", "bridge_database_url", "api_key"}
    | {"database_replica_urls", "lithic_api_key", "privacy_keys", "reset_webhook_url", "reset_webhook_secret"}
)
# Greedy on purpose: a password whose `/`, `?` or `@` somebody forgot to escape is masked to its end.
_USER_INFO: Final = re.compile(r"//.*@", re.DOTALL)
_SECRET_PARAMETER: Final = re.compile(r"([?&](?:password|sslpassword|username|user)=)[^&]*", re.IGNORECASE)


def _api_key(text: str) -> str:
    # It becomes a header of every call; the text of a key never shows in an error.
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("must be one word of printable ASCII")
    return text


class Settings(BaseModel):
    """The effective settings. `Settings()` are the defaults; `load()` is what a process uses."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[str, AfterValidator(setting_texts.database_url)] | None = Field(
        None, repr=False, description="PostgreSQL 15 or later. Absent with redis_url: embedded servers."
    )
    database_replica_urls: Annotated[str, AfterValidator(setting_texts.database_urls)] = Field(
        "", repr=False, description="Standbys of it, comma-separated, one host each: lists and reports are read there."
    )
    replica_lag_max_ms: int = Field(
        1_000, ge=100, le=600_000, description="How far behind a replica may be; beyond, the primary is read."
    )
    redis_url: Annotated[str, AfterValidator(setting_texts.redis_url)] | None = Field(
        None, repr=False, description="Redis 7 or later, or Valkey, with maxmemory-policy noeviction."
    )
    data_dir: Path = Field(Path(".authsvc"), description="Where the embedded servers keep their data between runs.")

    host: str = Field("127.0.0.1", min_length=1, description="Address the gRPC and metrics listeners bind to.")
    port: int = Field(50_051, ge=0, le=PORT_MAX, description="gRPC port; 0 takes any free port and logs it.")
    metrics_port: int = Field(
        9_464,
        ge=0,
        le=PORT_MAX,
        description="Prometheus port; worker i takes this plus i. 0: any free port each, logged.",
    )
    workers: int = Field(1, ge=1, le=256, description="Processes that share the gRPC port, one event loop each.")

    require_credentials: Literal["auto", "always", "never"] = Field(
        "auto", description="Whether calls need credentials. auto: unless host is a loopback address."
    )
    tls_cert_file: Path | None = Field(None, description="Certificate of the server and its chain, PEM.")
    tls_key_file: Path | None = Field(None, description="Private key of tls_cert_file, PEM.")
    tls_client_ca_file: Path | None = Field(
        None, description="Callers must present a certificate that one of these authorities signed, PEM."
    )
    allow_plaintext: bool = Field(
        False, description="Serve, and send credentials, without TLS beyond loopback: something else protects the way."
    )
    management_calls_per_s: int = Field(
        50, ge=1, le=1_000_000, description="Management calls a second by one caller with credentials, per worker."
    )

    bulk_timeout_ms: int = Field(
        600_000, ge=100, le=86_400_000, description="Longest bulk call: each holds a PostgreSQL connection and locks."
    )

    api_key: Annotated[str, AfterValidator(_api_key)] | None = Field(
        None, repr=False, description="API key that commands and the bridge present to the service."
    )
    api_key_file: Path | None = Field(None, description="File that holds it instead.")
    tls_ca_file: Path | None = Field(
        None, description="Authorities that commands and the bridge trust to name the service, PEM; absent: no TLS."
    )
    tls_client_cert_file: Path | None = Field(None, description="Certificate that they present, PEM.")
    tls_client_key_file: Path | None = Field(None, description="Private key of tls_client_cert_file, PEM.")
    tls_server_name: str = Field(
        "", max_length=253, description="Name in the service's certificate, where it is not the host that is asked."
    )

    directory_cards_max: int = Field(200_000, ge=1, le=100_000_000, description="Cards kept in memory, per worker.")
    negative_ttl_ms: int = Field(5_000, ge=0, le=3_600_000, description="How long an unknown card token is remembered.")
    negative_max: int = Field(10_000, ge=1, le=10_000_000, description="How many unknown card tokens are remembered.")

    batch_max: int = Field(
        512, ge=1, le=10_000, description="Decisions that share one round trip and one commit at most."
    )
    requests_in_flight_max: int = Field(
        8_000, ge=1, le=1_000_000, description="Requests being decided per worker; one more is refused at once."
    )
    decision_attempts_max: int = Field(
        8, ge=1, le=100, description="Evaluations of one request, when configuration changes while it is decided."
    )
    default_deadline_ms: int = Field(2_000, ge=1, le=600_000, description="Deadline of a request that brings none.")

    record_ttl_ms: int = Field(
        120_000, ge=1_000, le=86_400_000, description="How long a reservation's record stays in Redis."
    )
    reaper_interval_ms: int = Field(
        5_000, ge=10, le=600_000, description="Pause between two searches for abandoned reservations."
    )
    hold_sweep_interval_ms: int = Field(
        60_000, ge=10, le=86_400_000, description="How often holds are looked for whose time has run out."
    )
    reaper_grace_ms: int = Field(
        10_000, ge=10, le=3_600_000, description="Age at which a reservation without a row counts as abandoned."
    )
    counters_ttl_s: int = Field(
        86_400, ge=1, le=31_622_400, description="How long an account's counters last in Redis."
    )

    pg_pool_min: int = Field(2, ge=0, le=1_000, description="PostgreSQL connections kept open, per worker.")
    pg_pool_max: int = Field(8, ge=1, le=1_000, description="PostgreSQL connections at most, per worker.")
    pg_acquire_timeout_ms: int = Field(
        2_000, ge=1, le=600_000, description="Longest wait for a connection of the pool."
    )
    pg_idle_s: int = Field(300, ge=0, le=86_400, description="Idle time after which a connection is closed; 0: never.")
    pg_statement_timeout_ms: int = Field(5_000, ge=1, le=600_000, description="PostgreSQL's statement_timeout.")
    redis_timeout_ms: int = Field(
        2_000, ge=1, le=600_000, description="Longest wait for a connection to or an answer of Redis."
    )

    message_max_bytes: int = Field(1_048_576, ge=1_024, le=67_108_864, description="Largest message accepted.")
    streams_max: int = Field(
        1_000, ge=1, le=1_000_000, description="Open AuthorizeStream calls, and watchers, per worker."
    )
    stream_in_flight_max: int = Field(
        1_024, ge=1, le=1_000_000, description="Requests in flight on one stream; further ones wait in the transport."
    )
    drain_timeout_ms: int = Field(
        10_000, ge=0, le=600_000, description="How long requests in flight may take at shutdown."
    )

    bridge_target: Annotated[str, AfterValidator(setting_texts.host_and_port)] = Field(
        "127.0.0.1:50051", description="The service that the bridge asks, HOST:PORT."
    )
    bridge_host: str = Field("127.0.0.1", min_length=1, description="Address the bridge listens on.")
    bridge_port: int = Field(8_080, ge=0, le=PORT_MAX, description="HTTP port of the bridge; 0: any free port.")
    bridge_metrics_port: int = Field(
        9_463, ge=0, le=PORT_MAX, description="Prometheus port of the bridge; 0: any free port, logged."
    )
    bridge_asa_secrets: Annotated[str, AfterValidator(setting_texts.signing_secrets)] = Field(
        "", repr=False, description="Secrets (whsec_…) Lithic may sign with, comma-separated; two while rotating."
    )
    bridge_event_secrets: Annotated[str, AfterValidator(setting_texts.signing_secrets)] = Field(
        "", repr=False, description="Secrets (whsec_…) of the event subscription, comma-separated; two while rotating."
    )
    bridge_database_url: Annotated[str, AfterValidator(setting_texts.database_url)] | None = Field(
        None, repr=False, description="PostgreSQL where the bridge keeps webhooks. Absent: database_url."
    )
    bridge_webhook_workers: int = Field(
        2, ge=0, le=64, description="Tasks of a bridge that process webhooks; 0: it only keeps them, for other bridges."
    )
    bridge_webhook_poll_ms: int = Field(
        1_000,
        ge=10,
        le=600_000,
        description="Pause of an idle worker; a webhook that this bridge kept wakes it at once.",
    )
    bridge_webhook_tries_max: int = Field(
        16,
        ge=1,
        le=32,
        description="Tries of a webhook before it has failed; while the service is down none is counted.",
    )
    bridge_allow_unsigned: bool = Field(
        False, description="Take calls without a signature; on loopback, and without secrets only."
    )
    bridge_deadline_ms: int = Field(
        2_000, ge=1, le=5_500, description="How long the bridge waits for a decision. Lithic gives up after 6 s."
    )
    bridge_fallback_result: Literal[
        "CARD_PAUSED", "INSUFFICIENT_FUNDS", "UNAUTHORIZED_MERCHANT", "VELOCITY_EXCEEDED", "SUSPECTED_FRAUD"
    ] = Field("CARD_PAUSED", description="What Lithic is told when there is no decision: always a decline.")

    lithic_api_key: Annotated[str, AfterValidator(_api_key)] | None = Field(
        None, repr=False, description="API key of Lithic with which the doctor asks about cards and auth rules."
    )
    lithic_api_key_file: Path | None = Field(None, description="File that holds it instead.")
    lithic_environment: Annotated[str, AfterValidator(setting_texts.lithic_environment)] = Field(
        "production", description="Where that key is valid: production, sandbox, or an address."
    )

    signing_keys_file: Path | None = Field(
        None, description="JSON Web Keys that sign access tokens; without them users cannot sign in."
    )
    privacy_keys_file: Path | None = Field(
        None, description="Keys under which names, addresses and the like are kept; without them nobody can enter any."
    )
    privacy_keys: str = Field("", repr=False, description="What stands in such a file, where there can be none.")
    # The floor is OWASP's: 19 MiB, two passes, one lane.
    password_hash_memory_kib: int = Field(
        19_456, ge=19_456, le=1_048_576, description="Memory of one argon2id hash, KiB."
    )
    password_hash_iterations: int = Field(2, ge=2, le=100, description="Passes of argon2id.")
    password_hash_parallelism: int = Field(1, ge=1, le=16, description="Lanes of argon2id.")
    password_hash_threads: int = Field(2, ge=1, le=64, description="Passwords hashed at the same time, per worker.")
    signin_attempts_max: int = Field(
        5, ge=1, le=100, description="Wrong passwords in a row until a user is locked out, for longer each time."
    )
    signin_per_minute_address: int = Field(
        60, ge=1, le=1_000_000, description="Tries to sign in a minute from one address, per worker."
    )
    signin_per_minute_email: int = Field(
        10, ge=1, le=1_000_000, description="Tries to sign in a minute for one e-mail address, per worker."
    )
    reset_webhook_url: Annotated[str, AfterValidator(setting_texts.webhook_url)] | None = Field(
        None, repr=False, description="Where resets of passwords are posted; https://, or http:// on loopback."
    )
    reset_webhook_secret: Annotated[str, AfterValidator(setting_texts.signing_secret)] | None = Field(
        None, repr=False, description="Secret (whsec_…) that they are signed with."
    )
    reset_webhook_secret_file: Path | None = Field(None, description="File that holds it instead.")
    credentials_ttl_ms: int = Field(
        5_000, ge=0, le=60_000, description="How long a revoked key or session may still count."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line written."
    )
    log_decisions: bool = Field(True, description="Write one structured line for each decision.")
    reflection: bool = Field(True, description="Serve gRPC reflection.")

    @property
    def embedded(self) -> bool:
        """Whether this process starts its own PostgreSQL and Valkey."""
        return self.database_url is None and self.redis_url is None

    @property
    def is_loopback(self) -> bool:
        """Whether the service can be reached from this machine only."""
        return is_loopback(self.host)

    @property
    def credentials_required(self) -> bool:
        """Whether whoever brings no credentials is refused."""
        return self.require_credentials == "always" or (self.require_credentials == "auto" and not self.is_loopback)

    def effective(self) -> dict[str, Any]:
        """Every setting with its value, JSON-ready, user names and passwords masked."""
        values = self.model_dump(mode="json")
        return values | {name: _masked(name, values[name]) for name in SECRET_FIELDS if values[name] is not None}

    def replica_urls(self) -> list[str]:
        """Where lists are read while it is near enough; none: on the primary."""
        return listed(self.database_replica_urls)

    def asa_keys(self) -> list[bytes]:
        """The keys that Lithic may have signed with."""
        return [key_of(secret) for secret in listed(self.bridge_asa_secrets)]

    def event_keys(self) -> list[bytes]:
        """The keys that webhooks of the event subscription may be signed with."""
        return [key_of(secret) for secret in listed(self.bridge_event_secrets)]

    def webhooks_url(self) -> str | None:
        """Where webhooks are kept; None when nowhere, because there is no database or nothing to verify them with."""
        if not self.bridge_event_secrets and not self.bridge_allow_unsigned:
            return None
        return self.bridge_database_url or self.database_url


def load(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """The settings of this process: defaults, then `environ` (None: its own), then those `overrides` that are not None.

    Raises SettingsError that lists every problem, not only the first.
    """
    environ = os.environ if environ is None else environ
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    values: dict[str, object] = {known[name]: text for name, text in environ.items() if name in known and text}
    values |= {name: value for name, value in overrides.items() if value is not None}
    problems = [_unknown(name, known) for name in environ if name.startswith(PREFIX) and name not in known]
    bad: set[str] = set()
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False):
            name = str(detail["loc"][0])
            bad.add(name)
            problems.append(_problem(name, values[name], detail["msg"]))
        settings = Settings.model_validate({name: value for name, value in values.items() if name not in bad})
    problems += [text for names, text in _contradictions(settings) if not names & bad]
    if problems:
        raise SettingsError(sorted(problems))
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to have these settings, beside what this process has."""
    values = settings.model_dump(mode="json")
    given = {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return {**os.environ, **given}


def mask_url(url: str) -> str:
    """A connection URL without its user name and password; it masks too much rather than too little."""
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _USER_INFO.sub(f"//{MASK}@", url))


def _masked(name: str, value: str) -> str:
    """A URL without its credentials; of a list of secrets, how many there are."""
    if name.endswith("_urls"):
        return ",".join(map(mask_url, listed(value)))
    return mask_url(value) if name.endswith("_url") else ",".join(MASK for _ in listed(value))


def _unknown(variable: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(variable.upper(), known, n=1)
    return f"{variable} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def _problem(name: str, value: object, message: str) -> str:
    shown = "" if name in SECRET_FIELDS else f"={value}"
    return f"{PREFIX}{name.upper()}{shown}: {message.removeprefix('Value error, ')}"


def _contradictions(settings: Settings) -> Iterator[tuple[set[str], str]]:
    """Each pair of settings that cannot both hold: the names involved, and the problem in words."""
    yield from _contradictions_of_servers(settings)
    if settings.pg_pool_min > settings.pg_pool_max:
        yield {"pg_pool_min", "pg_pool_max"}, "AUTHSVC_PG_POOL_MIN must not be above AUTHSVC_PG_POOL_MAX"
    if settings.metrics_port + settings.workers - 1 > PORT_MAX:
        yield {"metrics_port", "workers"}, "AUTHSVC_METRICS_PORT plus AUTHSVC_WORKERS passes the last port"
    if settings.port and settings.metrics_port <= settings.port < settings.metrics_port + settings.workers:
        yield {"port", "metrics_port", "workers"}, "AUTHSVC_PORT is also the metrics port of a worker"
    if settings.bridge_port and settings.bridge_port == settings.bridge_metrics_port:
        yield {"bridge_port", "bridge_metrics_port"}, "AUTHSVC_BRIDGE_PORT is also AUTHSVC_BRIDGE_METRICS_PORT"
    if settings.bridge_allow_unsigned and not is_loopback(settings.bridge_host):
        text = "AUTHSVC_BRIDGE_ALLOW_UNSIGNED needs a loopback AUTHSVC_BRIDGE_HOST: anybody could ask"
        yield {"bridge_allow_unsigned", "bridge_host"}, text
    for secrets in ("bridge_asa_secrets", "bridge_event_secrets"):
        if settings.bridge_allow_unsigned and getattr(settings, secrets):
            text = f"AUTHSVC_BRIDGE_ALLOW_UNSIGNED and {PREFIX}{secrets.upper()} exclude each other"
            yield {"bridge_allow_unsigned", secrets}, text
    yield from _contradictions_of_trust(settings)
    # A record that expires before the reaper looks at it would hide an abandoned reservation for ever.
    if settings.record_ttl_ms <= settings.reaper_grace_ms + settings.reaper_interval_ms:
        text = "AUTHSVC_RECORD_TTL_MS must be above AUTHSVC_REAPER_GRACE_MS plus AUTHSVC_REAPER_INTERVAL_MS"
        yield {"record_ttl_ms", "reaper_grace_ms", "reaper_interval_ms"}, text


def _contradictions_of_servers(settings: Settings) -> Iterator[tuple[set[str], str]]:
    """As above, of PostgreSQL and Redis."""
    if (settings.database_url is None) != (settings.redis_url is None):
        text = "AUTHSVC_DATABASE_URL and AUTHSVC_REDIS_URL belong together: give both, or neither for embedded servers"
        yield {"database_url", "redis_url"}, text
    if settings.database_replica_urls and settings.database_url is None:
        yield {"database_replica_urls", "database_url"}, "AUTHSVC_DATABASE_REPLICA_URLS needs AUTHSVC_DATABASE_URL"


def _contradictions_of_trust(settings: Settings) -> Iterator[tuple[set[str], str]]:
    """As above, of credentials and TLS."""
    together = ("tls_cert_file", "tls_key_file"), ("tls_client_cert_file", "tls_client_key_file")
    for one, other in together:
        if (getattr(settings, one) is None) != (getattr(settings, other) is None):
            yield {one, other}, f"{PREFIX}{one.upper()} and {PREFIX}{other.upper()} belong together"
    for name, needed in (("tls_client_ca_file", "tls_cert_file"), ("tls_client_cert_file", "tls_ca_file")):
        if getattr(settings, name) is not None and getattr(settings, needed) is None:
            yield {name, needed}, f"{PREFIX}{name.upper()} needs {PREFIX}{needed.upper()}"
    for one in ("api_key", "lithic_api_key", "reset_webhook_secret"):
        other = f"{one}_file"
        if getattr(settings, one) is not None and getattr(settings, other) is not None:
            yield {one, other}, f"{PREFIX}{one.upper()} and {PREFIX}{other.upper()} exclude each other"
    signs = settings.reset_webhook_secret is not None or settings.reset_webhook_secret_file is not None
    if signs != (settings.reset_webhook_url is not None):
        text = "AUTHSVC_RESET_WEBHOOK_URL and AUTHSVC_RESET_WEBHOOK_SECRET, or its _FILE, belong together"
        yield {"reset_webhook_url", "reset_webhook_secret", "reset_webhook_secret_file"}, text
    is_guarded = settings.is_loopback or settings.tls_client_ca_file is not None or settings.allow_plaintext
    if settings.require_credentials == "never" and not is_guarded:
        text = (
            "AUTHSVC_REQUIRE_CREDENTIALS=never needs a loopback AUTHSVC_HOST, AUTHSVC_TLS_CLIENT_CA_FILE, or"
            " AUTHSVC_ALLOW_PLAINTEXT=true: anybody could call"
        )
        yield {"require_credentials", "host", "tls_client_ca_file", "allow_plaintext"}, text
