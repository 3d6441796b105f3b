"""The environment decides which Azure; the roles decide who may do what there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit import settings
from labkit.clock import LESSONS_START, SteppingClock
from labkit.errors import LocalOnly, RoleError, SettingsError
from labkit.settings import Role


def cosmos_with(key: str) -> str:
    return f"AccountEndpoint=https://account.example/;AccountKey={key};"


def hub_with(key: str) -> str:
    return f"Endpoint=sb://space.example/;SharedAccessKeyName=policy;SharedAccessKey={key}"


ALL = {
    "COSMOS_CONNECTION": cosmos_with("cosmosRW"),
    "COSMOS_READONLY_CONNECTION": cosmos_with("cosmosRO"),
    "EVENTHUB_SEND_CONNECTION": hub_with("hub-send"),
    "EVENTHUB_LISTEN_CONNECTION": hub_with("hub-listen"),
    "EVENTHUB_NAME": "orders",
    "READ_STORE_URL": "abfss://lake@account/lab/",
}


def azure(**changes: str) -> settings.Target:
    target = settings.azure_of({**ALL, **changes})
    assert target is not None
    return target


@pytest.mark.parametrize("environ", [{}, {"PATH": "/bin"}, {"COSMOS_CONNECTION": ""}])
def test_no_connection_means_the_embedded_azure(environ: dict[str, str]) -> None:
    assert settings.azure_of(environ) is None


def test_all_connections_mean_azure() -> None:
    target = azure()
    assert target.name == "Azure"
    assert (target.hub, target.database, target.tables_root) == ("orders", "cqrs-lab", "abfss://lake@account/lab")


@pytest.mark.parametrize("left_out", sorted(ALL))
def test_some_connections_but_not_all_is_an_error_that_names_the_missing_one(left_out: str) -> None:
    some = {name: value for name, value in ALL.items() if name != left_out}
    with pytest.raises(SettingsError, match=rf"set {left_out} too"):
        settings.azure_of(some)


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        settings.azure_of({"EVENTHUB_NAME": "orders"})
    assert all(name in str(refused.value) for name in ALL if name != "EVENTHUB_NAME")


def test_one_connection_may_serve_for_sending_and_listening() -> None:
    both = {name: value for name, value in ALL.items() if "SEND" not in name and "LISTEN" not in name}
    target = settings.azure_of({**both, "EVENTHUB_CONNECTION": hub_with("hub-both")})
    assert target is not None
    assert (target.send, target.listen) == (hub_with("hub-both"), hub_with("hub-both"))


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith("_CONNECTION")])
@pytest.mark.parametrize(
    "value", ["SECRETSECRET", "AccountKey=SECRETSECRET", "Endpoint=sb://x;AccountEndpoint=http://x"]
)
def test_a_connection_string_that_is_none_is_refused_by_name_and_never_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is no connection string: it has no ") as refused:
        settings.azure_of({**ALL, name: value})
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("name", ["COSMOS_CONNECTION", "COSMOS_READONLY_CONNECTION"])
@pytest.mark.parametrize("key", ["SECRETSECRE", "SECRET.SECR=", "SECRETSECRETX", "SECRÉTSECRET"])
def test_a_mistyped_key_is_refused_by_name_and_never_shown(name: str, key: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} .* its AccountKey is no base64") as refused:
        settings.azure_of({**ALL, name: cosmos_with(key)})
    assert "SECR" not in str(refused.value)


def test_the_one_connection_for_sending_and_listening_is_refused_by_its_own_name() -> None:
    both = {name: value for name, value in ALL.items() if "SEND" not in name and "LISTEN" not in name}
    with pytest.raises(SettingsError, match=r"^EVENTHUB_CONNECTION is no connection string"):
        settings.azure_of({**both, "EVENTHUB_CONNECTION": "nonsense"})


def test_a_target_shows_no_key() -> None:
    shown = repr(azure())
    assert "cqrs-lab" in shown
    assert not any(key in shown for key in ("cosmosRW", "cosmosRO", "hub-send", "hub-listen"))


@pytest.mark.parametrize(
    ("role", "cosmos", "may_send", "may_listen"),
    [
        (Role.COMMAND, "cosmosRW", False, False),
        (Role.RELAY, "cosmosRW", True, False),
        (Role.PROJECTOR, "cosmosRW", False, True),
        (Role.QUERY, "cosmosRO", False, False),
        (Role.MONITOR, "cosmosRO", False, True),
    ],
)
def test_each_role_gets_the_keys_of_its_rights_and_no_other(
    role: Role, cosmos: str, may_send: bool, may_listen: bool
) -> None:
    target = azure()
    assert target.cosmos_for(role) == cosmos_with(cosmos)
    if may_send:
        assert target.event_hubs_for(role, "send") == hub_with("hub-send")
    else:
        with pytest.raises(RoleError, match=f"{role.value}.*may not send"):
            target.event_hubs_for(role, "send")
    if may_listen:
        assert target.event_hubs_for(role, "listen") == hub_with("hub-listen")
    else:
        with pytest.raises(RoleError, match=f"{role.value}.*may not listen"):
            target.event_hubs_for(role, "listen")


def test_a_role_that_nobody_defined_is_refused() -> None:
    with pytest.raises(RoleError, match="no role 'admin'"):
        settings.the_role("admin")


def test_faults_on_azure_are_refused_and_the_way_there_is_told() -> None:
    with pytest.raises(LocalOnly, match="embedded Azure only; on Azure, cut the network"):
        azure().here(settings.NO_FAULTS)


def test_the_data_folder_is_absolute_wherever_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.data_dir({"LAB_DATA_DIR": "here"}) == (tmp_path / "here").resolve()
    assert settings.data_dir({}).is_absolute()


def test_loopback_never_goes_through_a_proxy_and_other_exceptions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet,localhost")
    settings.spare_loopback_the_proxy()
    assert os.environ["NO_PROXY"].split(",") == ["intranet", "localhost", "127.0.0.1"]
    assert set(os.environ["no_proxy"].split(",")) >= {"127.0.0.1", "localhost"}


def test_the_lessons_clock_steps_by_a_fixed_amount_in_utc() -> None:
    clock = SteppingClock()
    first, second = clock.now(), clock.now()
    assert first == LESSONS_START
    assert (second - first).total_seconds() == 1
    assert first.utcoffset() is not None
