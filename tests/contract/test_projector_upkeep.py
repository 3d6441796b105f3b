"""Upkeep in the projector's own loop: what it cannot do ends nothing, and what it frees is used at once."""

from __future__ import annotations

import pytest

from labkit.projections import committing, read_store, tables, upkeep
from labkit.projections.upkeep import Upkeep
from tests.contract.shop import PATIENCE_SECONDS, Shop

NO_SPACE = f"Generic LocalFileSystem error: No space left on device {tables.NO_ROOM}"
EACH_COMMIT = Upkeep(every_commits=1, retention_seconds=0)


def full(*_: object) -> None:
    raise OSError(NO_SPACE)


def test_a_disk_without_room_for_upkeep_ends_no_projector_and_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    projector = shop.projector(upkeep=EACH_COMMIT)
    with monkeypatch.context() as patched:
        patched.setattr(upkeep, "keep_table", full)
        projector.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
        projector.wait_until_visible(shop.does(shop.created(2)), PATIENCE_SECONDS)
        projector.stop()
    assert projector.error is None
    for model in tables.READ_MODELS:
        assert f"the upkeep of {model.name} failed: the disk is full" in caplog.text


@pytest.mark.parametrize("frees", [True, False], ids=["upkeep frees room", "nothing does"])
def test_a_commit_without_room_is_tried_once_more_after_upkeep(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, frees: bool
) -> None:
    turns: list[Upkeep] = []
    real_put, real_keep = tables.put, committing.keep

    def put(*arguments: object) -> object:
        if not (turns and frees):
            full()
        return real_put(*arguments)  # type: ignore[arg-type]

    def keep(store: read_store.ReadStore, how: Upkeep) -> None:
        turns.append(how)
        real_keep(store, how)

    monkeypatch.setattr(tables, "put", put)
    monkeypatch.setattr(committing, "keep", keep)
    projector = shop.projector(upkeep=Upkeep(every_commits=1_000))
    token = shop.does(shop.created(1))
    if frees:
        projector.wait_until_visible(token, PATIENCE_SECONDS)
    else:
        with pytest.raises(tables.DiskFull, match="free some space"):
            projector.wait_until_visible(token, PATIENCE_SECONDS)
    assert len(turns) == 1
