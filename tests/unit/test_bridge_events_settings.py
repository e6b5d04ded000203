"""The settings of webhooks: where they are kept, if anywhere, and that their secrets are their own and are not shown."""

import pytest

from authsvc.errors import SettingsError
from authsvc.settings import Settings, load
from tests.lithic import KEY, OTHER_SECRET, SECRET

OWN, SHARED = "postgresql://bridge:s3cret@db/hooks", "postgresql://app@db/authsvc"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({},                                                                                      None),
        ({"bridge_event_secrets": SECRET},                                                        None),
        ({"bridge_database_url": OWN},                                                            None),
        ({"bridge_event_secrets": SECRET, "bridge_database_url": OWN},                            OWN),
        ({"bridge_event_secrets": SECRET, "database_url": SHARED},                                SHARED),
        ({"bridge_event_secrets": SECRET, "database_url": SHARED, "bridge_database_url": OWN},    OWN),
        ({"bridge_allow_unsigned": True, "database_url": SHARED},                                 SHARED),
        ({"bridge_asa_secrets": SECRET, "database_url": SHARED},                                  None),
    ],
)  # fmt: skip
def test_webhooks_are_kept_where_there_is_a_database_and_something_to_verify_them_with(
    settings: dict[str, object], url: str | None
) -> None:
    assert Settings.model_validate(settings).webhooks_url() == url


def test_the_two_lists_of_secrets_have_nothing_to_do_with_each_other() -> None:
    settings = load({"AUTHSVC_BRIDGE_ASA_SECRETS": OTHER_SECRET, "AUTHSVC_BRIDGE_EVENT_SECRETS": SECRET})
    assert (settings.asa_keys(), settings.event_keys()) == ([KEY[::-1]], [KEY])


def test_neither_a_secret_nor_a_password_of_webhooks_is_shown() -> None:
    settings = load({"AUTHSVC_BRIDGE_EVENT_SECRETS": f"{SECRET},{OTHER_SECRET}", "AUTHSVC_BRIDGE_DATABASE_URL": OWN})
    shown = settings.effective()
    assert (shown["bridge_event_secrets"], shown["bridge_database_url"]) == ("***,***", "postgresql://***@db/hooks")
    with pytest.raises(SettingsError) as caught:
        load({"AUTHSVC_BRIDGE_EVENT_SECRETS": "whsec_c2hvcnQ=", "AUTHSVC_BRIDGE_DATABASE_URL": "mysql://u:s3cret@db"})
    for text in (repr(settings), str(shown), str(caught.value)):
        assert "s3cret" not in text and "whsec_" not in text


def test_secrets_of_webhooks_and_unsigned_calls_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="AUTHSVC_BRIDGE_EVENT_SECRETS exclude each other"):
        load({"AUTHSVC_BRIDGE_ALLOW_UNSIGNED": "true", "AUTHSVC_BRIDGE_EVENT_SECRETS": SECRET})
