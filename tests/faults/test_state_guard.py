"""A second SQLite in the host's process loses acknowledged commits: shown to happen, and shown to be prevented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The host's part: our storage has a write open while "user code" touches the file, and then commits.
HOST = """\
import os, shutil, sqlite3, subprocess, sys
from pathlib import Path
from durable.clock import SystemClock
from durable.host.guard import Guard
from durable.storage.actor_store import ActorStore

state, guarded, user_code, outsider = sys.argv[1:]
path = Path(state) / "Thing-0123456789ab" / "ab" / ("ab" * 32 + ".sqlite")
if guarded == "yes":
    Guard(state).install()
store = ActorStore(path, clock=SystemClock(), on_first_write=lambda: None)
store.sql.exec("CREATE TABLE kept(n INTEGER)")
store.commit()
store.sql.exec("INSERT INTO kept VALUES (1)")
try:
    exec(user_code)
except PermissionError as error:
    print("refused:", error)
if outsider:
    print(subprocess.run([sys.executable, "-c", outsider, str(path)], capture_output=True, text=True).stdout.strip())
print("acknowledged" if store.commit() else "nothing to commit")
os._exit(0)
"""

OUTSIDER = """\
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=0.1)
try:
    with database:
        database.execute("INSERT INTO kept VALUES (2)")
    print("outsider wrote")
except sqlite3.OperationalError as error:
    print("outsider was told:", error)
database.close()
"""

SECOND_SQLITE = "sqlite3.connect(path).close()"


def run(state: Path, *, guarded: bool, user_code: str, outsider: str = "") -> tuple[list[str], list[int]]:
    """What was said, and the rows that are there afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(state), "yes" if guarded else "no", user_code, outsider],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = subprocess.run(
        [
            sys.executable,
            "-c",
            "import apsw, sys; print(*[n for n, in apsw.Connection(sys.argv[1]).execute('SELECT n FROM kept')])",
            str(file(state)),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.splitlines(), [int(word) for word in rows.stdout.split()]


def file(state: Path) -> Path:
    return state / "Thing-0123456789ab" / "ab" / ("ab" * 32 + ".sqlite")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def test_without_the_guard_a_second_sqlite_makes_an_acknowledged_row_vanish(state: Path) -> None:
    said, rows = run(state, guarded=False, user_code=SECOND_SQLITE, outsider=OUTSIDER)

    assert said == ["outsider wrote", "acknowledged"]
    assert 1 not in rows


def test_with_the_guard_the_second_sqlite_is_refused_and_the_row_is_there(state: Path) -> None:
    said, rows = run(state, guarded=True, user_code=SECOND_SQLITE, outsider=OUTSIDER)

    assert said[0].startswith("refused: sqlite3.connect(")
    assert "ctx.storage" in said[0]
    assert "durable sql" in said[0]
    assert said[1:] == ["outsider was told: database is locked", "acknowledged"]
    assert rows == [1]


WAYS = (
    SECOND_SQLITE,
    "sqlite3.connect(str(path).encode()).close()",
    "sqlite3.connect(f'file:{path}?mode=ro', uri=True)",
    "sqlite3.connect(f'file://localhost{path}', uri=True)",
    "sqlite3.connect('file:' + str(path).replace('/', '%2F'), uri=True)",
    "os.chdir(path.parent); sqlite3.connect(path.name)",
    "os.chdir(path.parent); sqlite3.connect(f'../{path.parent.name}/{path.name}')",
    "sqlite3.connect(link)",
    "open(link, 'rb')",
    "open(folder_link / path.parent.name / path.name)",
    "open(path, 'rb').read()",
    "open(str(path).encode(), 'rb')",
    "path.read_bytes()",
    "os.open(path, os.O_RDONLY)",
    "open(f'{path}-wal', 'rb')",
    "open(f'{path}-shm', 'wb')",
    "os.remove(path)",
    "path.unlink()",
    "os.rename(path, '/tmp/elsewhere')",
    "os.rename(path.parent, str(path.parent) + '-moved')",
    "os.rename(state, state + '-moved')",
    "os.truncate(path, 0)",
    "os.link(path, str(Path(state).parent / 'second-name'))",
    "os.symlink('/etc/passwd', path.with_suffix('.other'))",
    "shutil.copy(path, str(Path(state).parent / 'backup'))",
    "shutil.rmtree(state)",
    "shutil.rmtree(Path(state).parent)",
    "shutil.move(path, '/tmp/elsewhere')",
    "os.unlink(path.name, dir_fd=folder_fd)",
    "run_in_thread(open, path)",
    "run_in_thread(os.remove, path)",
)

EACH = """\
from concurrent.futures import ThreadPoolExecutor
import ctypes, json
link, folder_link = Path(state).parent / "link", Path(state).parent / "folder-link"
# Not by Python, which would be refused: somebody else made these.
subprocess.run(["ln", "-s", path, link], check=True)
subprocess.run(["ln", "-s", path.parent.parent, folder_link], check=True)
folder_fd = ctypes.CDLL(None).open(str(path.parent).encode(), os.O_RDONLY)
def run_in_thread(function, *arguments):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function, *arguments).result()
said = {}
for way in WAYS:
    home = os.getcwd()
    try:
        exec(way)
        said[way] = "was let through"
    except Exception as error:
        said[way] = f"{type(error).__name__}: {error}"
    os.chdir(home)
print(json.dumps(said))
"""


def test_no_way_of_touching_an_objects_file_is_open(state: Path) -> None:
    said, rows = run(state, guarded=True, user_code=f"WAYS = {WAYS!r}\n{EACH}")

    told = json.loads(said[0])
    assert list(told) == list(WAYS)
    assert {way: text for way, text in told.items() if "belong to the engine" not in text} == {}
    assert said[-1] == "acknowledged"
    assert rows == [1]


def test_what_lies_elsewhere_is_none_of_the_guards_business(state: Path) -> None:
    mine = state.parent / "mine.sqlite"
    user_code = (
        f"database = sqlite3.connect({str(mine)!r}); database.execute('CREATE TABLE t(x)'); database.close()\n"
        f"os.rename({str(mine)!r}, {str(mine)!r} + '2'); os.remove({str(mine)!r} + '2')\n"
        "sqlite3.connect(':memory:').close(); sqlite3.connect('').close()\n"
        f"print('listed', len(os.listdir(state)), open({os.devnull!r}).read())"
    )

    said, rows = run(state, guarded=True, user_code=user_code)

    assert said == ["listed 1 ", "acknowledged"]
    assert rows == [1]
