"""TLS on the service's port: certificates that change under it, callers that must show theirs, and who presents what."""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import pytest_asyncio
from click.testing import Result
from typer.testing import CliRunner

from authsvc import cli
from authsvc.bridge.process import client_of
from authsvc.client import AuthorizationClient, ClientError, presented_to
from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.errors import StartupRefused
from authsvc.identity.tokens import api_key, hash_of
from authsvc.ledger.identity import NewKey, add_key
from authsvc.settings import Settings
from authsvc.tls import Certificate, server_credentials_of
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from tests.certificates import Authority, Pair
from tests.desk import Desk, account
from tests.serving import WAIT_S, Running, next_answer, refusal, request, serving_module

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAME = "authsvc.example"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
TRUSTED, OTHER = Authority("An authority"), Authority("Another authority")


class Site(NamedTuple):
    """Files, and the service that reads them."""

    folder: Path
    running: Running
    key: str

    def put(self, pair: Pair) -> None:
        """The server's certificate from now on."""
        pair.write(self.folder / "cert.pem", self.folder / "key.pem")

    def settings(self, **more: Any) -> Settings:
        """Those of a caller with a key who trusts the service."""
        asked = {
            "bridge_target": self.running.address,
            "tls_ca_file": self.folder / "ca.pem",
            "tls_server_name": NAME,
            "api_key": self.key,
        }
        return Settings.model_validate(asked | more)


def folder_of(folder: Path) -> dict[str, Path]:
    """Settings of a server on the files in this folder."""
    TRUSTED.pair(NAME).write(folder / "cert.pem", folder / "key.pem")
    (folder / "ca.pem").write_bytes(TRUSTED.certificate)
    return {"tls_cert_file": folder / "cert.pem", "tls_key_file": folder / "key.pem"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    async with serving_module(servers, template, require_credentials="always", **folder_of(folder)) as running:
        key, prefix = api_key(os.urandom)
        now_us = SystemClock().now_us()
        await add_key(running.database, NewKey(None, "tls", prefix, hash_of(key), ["all"], now_us, now_us + 10**11))
        yield Site(folder, running, key)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mutual(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("mutual")
    asked = {"require_credentials": "never", "tls_client_ca_file": folder / "ca.pem", **folder_of(folder)}
    async with serving_module(servers, template, **asked) as running:
        yield Site(folder, running, "")


def channel_to(site: Site, caller: Pair | None = None) -> grpc.aio.Channel:
    key, certificate = (caller.key, caller.certificate) if caller else (None, None)
    trust = grpc.ssl_channel_credentials(TRUSTED.certificate, key, certificate)
    options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(site.running.address, trust, options)


async def serial_of(site: Site) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cadata=TRUSTED.certificate.decode())
    context.set_alpn_protocols(["h2"])
    host, _, port = site.running.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=NAME)
    shown = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    return int(shown["serialNumber"], 16)


# --- the server's certificate -----------------------------------------------------------------------------------------


async def test_a_caller_in_plain_text_is_not_understood_and_one_over_tls_is_answered(site: Site) -> None:
    metadata = (("authorization", f"Bearer {site.key}"),)
    assert (await refusal(site.running.stub.Authorize(request(), metadata=metadata, timeout=WAIT_S)))[0] == UNAVAILABLE
    async with channel_to(site) as channel:
        answer = await AuthorizationServiceStub(channel).Authorize(request(), metadata=metadata, timeout=WAIT_S)
    assert answer.transaction_id


async def test_new_files_are_shown_to_new_connections_while_an_open_stream_goes_on(site: Site) -> None:
    metadata = (("authorization", f"Bearer {site.key}"),)
    async with channel_to(site) as channel:
        stream = AuthorizationServiceStub(channel).AuthorizeStream(metadata=metadata, timeout=WAIT_S)
        await stream.write(request())
        assert (await next_answer(stream)).HasField("response")
        before, new = await serial_of(site), TRUSTED.pair(NAME)
        site.put(new)
        assert await serial_of(site) == new.serial != before
        await stream.write(request())
        assert (await next_answer(stream)).HasField("response")
        stream.cancel()


@pytest.mark.parametrize("case", ["another key", "no key", "nonsense", "gone"])
async def test_files_that_are_no_good_are_logged_once_and_leave_the_certificate(
    site: Site, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    good = TRUSTED.pair(NAME)
    site.put(good)
    assert await serial_of(site) == good.serial
    new = TRUSTED.pair(NAME)
    with caplog.at_level(logging.ERROR, "authsvc.tls"):
        if case == "gone":
            (site.folder / "key.pem").unlink()
        else:
            keys = {"another key": good.key, "no key": b"", "nonsense": b"-----BEGIN PRIVATE KEY-----\nAAAA"}
            site.put(new._replace(key=keys[case]))
        assert await serial_of(site) == await serial_of(site) == good.serial
    told = [record.getMessage() for record in caplog.records if record.name == "authsvc.tls"]
    assert set(told) == {"the TLS files cannot be used; the certificate stays"}
    assert len(told) == 1 or case == "gone"
    site.put(new)
    assert await serial_of(site) == new.serial


async def test_a_server_does_not_start_on_files_that_are_no_good(tmp_path: Path) -> None:
    folder_of(tmp_path)
    with pytest.raises(StartupRefused, match=r"nowhere\.pem: No such file"):
        Certificate(tmp_path / "nowhere.pem", tmp_path / "key.pem", None)
    with pytest.raises(StartupRefused, match="not PEM"):
        Certificate(tmp_path / "key.pem", tmp_path / "key.pem", None)
    (tmp_path / "key.pem").write_bytes(OTHER.pair(NAME).key)
    with pytest.raises(StartupRefused, match="not the certificate's"):
        Certificate(tmp_path / "cert.pem", tmp_path / "key.pem", None)


async def test_beyond_loopback_a_server_needs_tls_or_the_word_that_it_does_not(tmp_path: Path) -> None:
    with pytest.raises(StartupRefused, match="AUTHSVC_ALLOW_PLAINTEXT=true"):
        server_credentials_of(Settings(host="0.0.0.0"))
    assert server_credentials_of(Settings(host="0.0.0.0", allow_plaintext=True)) is None
    assert server_credentials_of(Settings()) is None
    given = folder_of(tmp_path)
    assert server_credentials_of(Settings(host="0.0.0.0", **given)) is not None


# --- the caller's certificate -----------------------------------------------------------------------------------------


async def test_a_caller_without_a_certificate_of_the_authority_is_not_let_in(mutual: Site) -> None:
    for caller in (None, OTHER.pair("bridge.example")):
        async with channel_to(mutual, caller) as channel:
            call = AuthorizationServiceStub(channel).Authorize(request(), timeout=WAIT_S)
            assert (await refusal(call))[0] == UNAVAILABLE


async def test_where_a_certificate_is_enough_its_name_is_who_did_it(mutual: Site) -> None:
    async with channel_to(mutual, TRUSTED.pair("bridge.example")) as channel:
        assert (await AuthorizationServiceStub(channel).Authorize(request(), timeout=WAIT_S)).transaction_id
        made = await Desk(channel).create(account())
    query = "SELECT actor FROM audit_logs WHERE entity_type = 'account' AND entity_id = $1"
    assert await mutual.running.database.fetchval(query, made.id) == "certificate:bridge.example"


async def test_another_authority_for_callers_counts_from_the_next_connection_on(mutual: Site) -> None:
    caller = OTHER.pair("bridge.example")
    (mutual.folder / "ca.pem").write_bytes(TRUSTED.certificate + OTHER.certificate)
    async with channel_to(mutual, caller) as channel:
        assert (await AuthorizationServiceStub(channel).Authorize(request(), timeout=WAIT_S)).transaction_id
    (mutual.folder / "ca.pem").write_bytes(TRUSTED.certificate)
    async with channel_to(mutual, caller) as channel:
        call = AuthorizationServiceStub(channel).Authorize(request(), timeout=WAIT_S)
        assert (await refusal(call))[0] == UNAVAILABLE


# --- who presents what ------------------------------------------------------------------------------------------------


async def test_the_bridge_presents_its_key_and_trusts_the_authority(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{site.key}\n")
    for settings in (site.settings(), site.settings(api_key=None, api_key_file=file)):
        async with client_of(settings, SystemClock()) as client:
            assert (await client.authorize(request())).transaction_id
    async with client_of(site.settings(api_key="authsvc_nobody"), SystemClock()) as client:
        with pytest.raises(ClientError) as caught:
            await client.authorize(request())
    assert caught.value.code == "UNAUTHENTICATED"


async def test_the_bridge_presents_its_certificate(mutual: Site, tmp_path: Path) -> None:
    TRUSTED.pair("bridge.example").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    settings = mutual.settings(
        api_key=None, tls_client_cert_file=tmp_path / "cert.pem", tls_client_key_file=tmp_path / "key.pem"
    )
    async with client_of(settings, SystemClock()) as client:
        assert (await client.authorize(request())).transaction_id


async def test_a_service_of_another_authority_gets_no_key(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(OTHER.certificate)
    presented = presented_to(site.running.address, site.settings(tls_ca_file=tmp_path / "ca.pem"))
    async with AuthorizationClient(site.running.address, **presented._asdict()) as client:
        with pytest.raises(ClientError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.health()


async def test_a_key_is_not_sent_in_the_clear_beyond_loopback_unless_that_is_said(tmp_path: Path) -> None:
    key = {"api_key": "authsvc_example"}
    with pytest.raises(StartupRefused, match="would travel in the clear"):
        presented_to("authsvc.internal:50051", Settings(**key))
    assert presented_to("authsvc.internal:50051", Settings(**key, allow_plaintext=True)).metadata
    for near in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        assert presented_to(near, Settings(**key)).metadata == (("authorization", "Bearer authsvc_example"),)
    with pytest.raises(StartupRefused, match=r"AUTHSVC_API_KEY_FILE: .*: No such file"):
        presented_to("127.0.0.1:1", Settings(api_key_file=tmp_path / "nowhere"))


@pytest.fixture
def command(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Result]]:
    """Runs `authsvc …` as a caller who trusts the authority; `key` is presented."""
    monkeypatch.setenv("AUTHSVC_TLS_CA_FILE", str(site.folder / "ca.pem"))
    monkeypatch.setenv("AUTHSVC_TLS_SERVER_NAME", NAME)

    async def run(*arguments: str, key: str = "") -> Result:
        monkeypatch.setenv("AUTHSVC_API_KEY", key)
        return await asyncio.to_thread(CliRunner().invoke, cli.app, [*arguments, "--address", site.running.address])

    return run


async def test_commands_speak_tls_and_present_their_key(site: Site, command: Callable[..., Awaitable[Result]]) -> None:
    assert (await command("health")).exit_code == 0
    listed = await command("account", "list", "--json", key=site.key)
    assert (listed.exit_code, "business_name" in listed.stdout) == (0, True), listed.output
    refused = await command("account", "list")
    assert (refused.exit_code, "authsvc key create" in refused.output) == (1, True), refused.output


async def test_a_command_that_trusts_another_authority_says_so(
    command: Callable[..., Awaitable[Result]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_bytes(OTHER.certificate)
    monkeypatch.setenv("AUTHSVC_TLS_CA_FILE", str(tmp_path / "ca.pem"))
    refused = await command("health")
    assert (refused.exit_code, "AUTHSVC_TLS_CA_FILE" in refused.output) == (1, True), refused.output
