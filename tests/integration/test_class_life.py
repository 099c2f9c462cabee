"""Classes change while an emulator serves, and while none does: what becomes of objects, alarms and open sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable.emulator import Emulator
from durable.errors import MigrationError, NotFoundError, UserCodeError
from durable.storage.class_life import moves
from durable.storage.layout import StateLayout
from durable.storage.lock import StateLock
from durable_cli.commands.migrate import _on_files
from durable_cli.project import load_project
from tests.integration.class_life_project import FAR_MS, emulator_of, picture, program, settings, state_of, write

NEW = 'new_sqlite_classes = ["Room"]'
RENAME = 'renamed_classes = [{ from = "Room", to = "Hall" }]'
DELETE = 'deleted_classes = ["Room"]'
TRANSFER = 'transferred_classes = [{ from = "Log", from_script = "far", to = "Diary" }]'
SOCKETS_MAX = 20

COUNTS = [0, 1, pytest.param(200, marks=pytest.mark.slow)]


class App:
    """One project and, while it runs, its emulator and a client."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.emulator: Emulator
        self.client: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator[App]:
        async with AsyncExitStack() as stack:
            self.emulator = await stack.enter_async_context(emulator_of(self.root))
            self.client = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    async def get(self, path: str) -> str:
        async with self.client.get(f"{self.emulator.url}/{path}") as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return text

    async def sockets(self, binding: str, count: int) -> list[aiohttp.ClientWebSocketResponse]:
        return [
            await self.client.ws_connect(f"{self.emulator.url}/socket/{binding}/n{number}")
            for number in range(min(count, SOCKETS_MAX))
        ]


@pytest.fixture
def app(tmp_path: Path) -> App:
    write(tmp_path / "app", program("Room"), settings(NEW, bound=["Room"]))
    return App(tmp_path / "app")


async def changed(app: App, *, is_running: bool, folder: str = "") -> dict[str, Any]:
    """`durable migrate`, through the emulator that runs or, when none does, with one that is made for it."""
    if is_running:
        return await app.emulator.migrate(dry_run=False, folder=folder)
    project = load_project(app.root / "durable.toml", None, None)
    with StateLock.acquire(state_of(app.root), what="test"):
        outcome = _on_files(project, StateLayout(state_of(app.root)), Path(folder) if folder else None, only_look=False)
    return {"steps": list(outcome.entries), "applied": list(outcome.applied)}


# --- the matrix: step x running or stopped x how many objects ---------------------------------------------------------
@pytest.mark.parametrize("count", COUNTS)
async def test_a_rename_under_way_keeps_objects_alarms_and_open_sockets(count: int, app: App) -> None:
    async with app.running():
        await app.get(f"fill/ROOM/{count}")
        sockets = await app.sockets("ROOM", count)
        looks = [json.loads(await app.get(f"look/ROOM/n{number}")) for number in range(count)]
        for number, socket in enumerate(sockets):
            await socket.send_str("before")
            assert await socket.receive_str() == f"Room Room {number} before"

        write(app.root, program("Hall"), settings(NEW, RENAME, bound=["Hall"]))
        done = await changed(app, is_running=True)

        assert done["applied"] == ["v1", "v2"]
        assert [json.loads(await app.get(f"look/HALL/n{number}")) for number in range(count)] == looks
        for number, socket in enumerate(sockets):
            await socket.send_str("after")
            assert await socket.receive_str() == f"Room Hall {number} after"
            await socket.close()
    after = picture(app.root)["classes"]["Hall, sqlite"]
    assert {each["name"]: each["alarm"] for each in after.values()} == {
        f"n{number}": FAR_MS + number if number % 3 == 0 else None for number in range(count)
    }


@pytest.mark.parametrize("count", COUNTS)
async def test_a_rename_while_nothing_runs_keeps_objects_and_alarms(count: int, app: App) -> None:
    async with app.running():
        await app.get(f"fill/ROOM/{count}")
        looks = [json.loads(await app.get(f"look/ROOM/n{number}")) for number in range(count)]
    before = picture(app.root)

    write(app.root, program("Hall"), settings(NEW, RENAME, bound=["Hall"]))
    await changed(app, is_running=False)

    after = picture(app.root)
    assert after["classes"] == {"Hall, sqlite": before["classes"]["Room, sqlite"]}
    async with app.running():
        assert [json.loads(await app.get(f"look/HALL/n{number}")) for number in range(count)] == looks


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("count", COUNTS)
async def test_new_classes_come_and_leave_all_others_alone(count: int, is_running: bool, app: App) -> None:
    more = 'new_sqlite_classes = ["More"]\nnew_classes = ["Old"]'
    classes = ("Room", "More", "Old")
    async with app.running():
        await app.get(f"fill/ROOM/{count}")
        sockets = await app.sockets("ROOM", count)
        if is_running:
            write(app.root, program(*classes), settings(NEW, more, bound=classes))
            await changed(app, is_running=True)
            await app.get("fill/MORE/1")
            await app.get("fill/OLD/1")
            for number, socket in enumerate(sockets):
                await socket.send_str("after")
                assert await socket.receive_str() == f"Room Room {number} after"
    if not is_running:
        write(app.root, program(*classes), settings(NEW, more, bound=classes))
        await changed(app, is_running=False)
    found = picture(app.root)["classes"]
    assert sorted(found) == ["More, sqlite", "Old, kv", "Room, sqlite"]
    assert len(found["Room, sqlite"]) == count
    assert len(found["More, sqlite"]) == len(found["Old, kv"]) == int(is_running)


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("count", COUNTS)
async def test_a_deleted_class_ends_with_its_sockets_and_is_kept_and_comes_back_whole(
    count: int, is_running: bool, app: App
) -> None:
    async with app.running():
        await app.get(f"fill/ROOM/{count}")
    before = picture(app.root)["classes"]["Room, sqlite"]

    async with AsyncExitStack() as stack:
        if is_running:
            await stack.enter_async_context(app.running())
            sockets = await app.sockets("ROOM", count)
        write(app.root, program(), settings(NEW, DELETE, bound=[]))
        await changed(app, is_running=is_running)
        if is_running:
            for socket in sockets:
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                assert socket.close_code == 1001
            assert [each["objects"] for each in await app.emulator.classes.deleted()] == [count] * bool(count)
    assert picture(app.root) == {"classes": {}, "tags": ["v1", "v2"], "kept": {"Room": before} if count else {}}
    if not count:
        return

    write(app.root, program("Room"), settings(NEW, DELETE, NEW, bound=["Room"]))
    async with app.running():  # which applies what only adds
        sockets = await app.sockets("ROOM", 0)
        restored = await app.emulator.classes.restore("Room", None)
        assert (restored["into"], restored["objects"]) == ("Room", count)
        assert json.loads(await app.get("look/ROOM/n0"))[:2] == [0, FAR_MS]
    assert picture(app.root) == {"classes": {"Room, sqlite": before}, "tags": ["v1", "v2", "v3"], "kept": {}}


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("count", COUNTS)
async def test_a_class_of_another_project_comes_with_all_its_objects(count: int, is_running: bool, app: App) -> None:
    far = App(app.root.parent / "far")
    write(far.root, program("Log"), settings('new_sqlite_classes = ["Log"]', bound=["Log"], name="far"))
    async with far.running():
        await far.get(f"fill/LOG/{count}")
    before = picture(far.root)["classes"]["Log, sqlite"]

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.running())
        await app.get("fill/ROOM/1")
        sockets = await app.sockets("ROOM", 1)
        if not is_running:
            await stack.aclose()
        write(app.root, program("Room", "Diary"), settings(NEW, TRANSFER, bound=["Room", "Diary"]))
        await changed(app, is_running=is_running)  # finds the folder beside its own
        if is_running:
            assert [json.loads(await app.get(f"look/DIARY/n{number}"))[0] for number in range(count)] == list(
                range(count)
            )
            await sockets[0].send_str("after")
            assert await sockets[0].receive_str() == "Room Room 0 after"
    found = picture(app.root)["classes"]
    assert found["Diary, sqlite"] == before
    assert len(found["Room, sqlite"]) == 1
    assert picture(far.root)["classes"] == {}


async def test_an_alarm_that_is_due_after_the_rename_rings_in_the_new_code(app: App) -> None:
    async with app.running():
        now_ms = app.emulator.time.clock.wall_ms()
        await app.get(f"soon/ROOM/{now_ms + 3_600_000}")
        write(app.root, program("Hall"), settings(NEW, RENAME, bound=["Hall"]))
        await changed(app, is_running=True)

        app.emulator.time.begin_advance(to_ms=now_ms + 3_600_000)
        await app.emulator.time.wait_advance()

        assert await app.get("rang/HALL/n0") == "Hall"


# --- what is refused, with nothing changed ----------------------------------------------------------------------------
async def test_code_without_the_new_class_is_refused_before_anything_is_changed(app: App) -> None:
    async with app.running():
        await app.get("fill/ROOM/1")
        write(app.root, program("Room"), settings(NEW, RENAME, bound=["Hall"]))
        with pytest.raises(MigrationError) as caught:
            await changed(app, is_running=True)
        assert "nothing was migrated: the code does not fit." in str(caught.value)
        assert "main.py defines no class Hall, which env.HALL is bound to." in str(caught.value)
        assert app.emulator.status()["host_deaths"] == 0
        assert json.loads(await app.get("look/ROOM/n0"))[0] == 0
    assert picture(app.root)["tags"] == ["v1"]


async def test_code_that_cannot_be_imported_is_refused_before_anything_is_changed(app: App) -> None:
    async with app.running():
        await app.get("fill/ROOM/1")
        write(app.root, "import nonsense_that_is_not_there\n", settings(NEW, RENAME, bound=["Hall"]))
        with pytest.raises(UserCodeError) as caught:
            await changed(app, is_running=True)
        assert "No module named 'nonsense_that_is_not_there'" in str(caught.value)
        assert json.loads(await app.get("look/ROOM/n0"))[0] == 0
    assert picture(app.root)["tags"] == ["v1"]


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_transfer_from_a_project_that_runs_is_refused_and_both_serve_on(is_running: bool, app: App) -> None:
    far = App(app.root.parent / "far")
    write(far.root, program("Log"), settings('new_sqlite_classes = ["Log"]', bound=["Log"], name="far"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(far.running())
        await far.get("fill/LOG/1")
        if is_running:
            await stack.enter_async_context(app.running())
            await app.get("fill/ROOM/1")
        write(app.root, program("Room", "Diary"), settings(NEW, TRANSFER, bound=["Room", "Diary"]))
        with pytest.raises(Exception, match="is in use by pid"):
            await changed(app, is_running=is_running)
        assert json.loads(await far.get("look/LOG/n0"))[0] == 0
        if is_running:
            assert json.loads(await app.get("look/ROOM/n0"))[0] == 0
    assert len(picture(far.root)["classes"]["Log, sqlite"]) == 1
    assert "Diary, sqlite" not in picture(app.root)["classes"]


async def test_a_transfer_whose_project_is_nowhere_says_what_to_type(app: App) -> None:
    async with app.running():
        write(app.root, program("Room", "Diary"), settings(NEW, TRANSFER, bound=["Room", "Diary"]))
        with pytest.raises(MigrationError) as caught:
            await changed(app, is_running=True)
        assert "it is not known where the worker far keeps its objects" in str(caught.value)
        assert caught.value.fix == "durable migrate --from FOLDER, with the folder of its project"


async def test_a_snapshot_does_not_take_the_place_of_objects(app: App) -> None:
    async with app.running():
        await app.get("fill/ROOM/1")
    write(app.root, program(), settings(NEW, DELETE, bound=[]))
    await changed(app, is_running=False)
    write(app.root, program("Room"), settings(NEW, DELETE, NEW, bound=["Room"]))
    async with app.running():
        await app.get("fill/ROOM/1")
        with pytest.raises(MigrationError, match="Room has objects, and those of Room-.* would take their place"):
            await app.emulator.classes.restore("Room", None)
        with pytest.raises(NotFoundError, match="no deleted class is kept as Rome") as caught:
            await app.emulator.classes.restore("Rome", None)
        assert 'Did you mean "Room"?' in caught.value.fix
        assert json.loads(await app.get("look/ROOM/n0"))[0] == 0


async def test_a_folder_that_cannot_be_moved_is_told_and_moved_at_the_next_start(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.running():
        await app.get("fill/ROOM/1")
    before = picture(app.root)["classes"]["Room, sqlite"]
    write(app.root, program("Room", "More"), settings(NEW, 'new_sqlite_classes = ["More"]', bound=["Room", "More"]))
    async with app.running():
        await app.get("fill/MORE/1")
        write(app.root, program("More"), settings(NEW, 'new_sqlite_classes = ["More"]', DELETE, bound=["More"]))

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch, pytest.raises(MigrationError, match="No space left on device") as caught:
            patch.setattr(moves, "_move_folder", full)
            await changed(app, is_running=True)
        assert caught.value.fix == "mend that, and do this again"
        assert json.loads(await app.get("look/MORE/n0"))[0] == 0
    found = picture(app.root)
    assert (list(found["classes"]), found["kept"], found["tags"]) == (
        ["More, sqlite"],
        {"Room": before},
        ["v1", "v2", "v3"],
    )


async def test_a_name_that_was_half_typed_when_it_was_saved_leaves_nothing_behind(app: App) -> None:
    async with app.running():
        write(app.root, program("Room", "More"), settings(NEW, 'new_sqlite_classes = ["Mo"]', bound=["Room", "More"]))
        await app.emulator.reload()
        assert app.emulator.status()["failed_reloads"] == 1
        await app.get("fill/ROOM/1")
        write(app.root, program("Room", "More"), settings(NEW, 'new_sqlite_classes = ["More"]', bound=["Room", "More"]))
        await app.emulator.reload()
        await app.get("fill/MORE/1")
    found = picture(app.root)
    assert (sorted(found["classes"]), found["tags"]) == (["More, sqlite", "Room, sqlite"], ["v1", "v2"])


async def test_exports_make_rename_and_hand_over_classes_as_entries_do(app: App) -> None:
    def exports(name: str, *bound: str, **states: str) -> str:
        rows = "".join(f'{each} = {{ type = "durable-object", {state} }}\n' for each, state in states.items())
        return f"{settings(bound=bound, name=name)}[exports]\n{rows}"

    sqlite = 'storage = "sqlite"'
    write(app.root, program("Log"), exports("app", "Log", Log=sqlite))
    async with app.running():
        await app.get("fill/LOG/4")
        renamed = exports("app", "Diary", Log='state = "renamed", renamed_to = "Diary"', Diary=sqlite)
        write(app.root, program("Diary"), renamed)
        assert await changed(app, is_running=True) == {
            "steps": [{"tag": "exports", "steps": [{"step": "rename_class", "from": "Log", "to": "Diary"}]}],
            "applied": [],
        }
        assert json.loads(await app.get("look/DIARY/n3"))[:2] == [3, FAR_MS + 3]
    before = picture(app.root)["classes"]["Diary, sqlite"]

    write(app.root, program(), exports("app", Diary='state = "transferred", transferred_to = "far"'))
    far = App(app.root.parent / "far")
    write(
        far.root,
        program("Diary"),
        exports("far", "Diary", Diary=f'state = "expecting-transfer", {sqlite}, transfer_from = "app"'),
    )
    await changed(far, is_running=False)
    async with far.running():
        assert json.loads(await far.get("look/DIARY/n3"))[:2] == [3, FAR_MS + 3]
    assert picture(far.root)["classes"] == {"Diary, sqlite": before}
    async with app.running():
        pass  # the tombstone is in nobody's way
    assert picture(app.root)["classes"] == {}
