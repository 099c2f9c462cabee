"""What user code forks in a host must not use the host's files, and the host goes on without noticing."""

from __future__ import annotations

from pathlib import Path

from .running_emulator import SETTINGS, running

PROGRAM = """\
import os

from durable import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    def count(self):
        self.ctx.storage.kv.put("n", self.ctx.storage.kv.get("n", 0) + 1)
        return self.ctx.storage.kv.get("n")

    def fork(self):
        self.count()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                said = repr(self.ctx.storage.kv.put("n", 100))
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            try:
                os.write(writer, said.encode())
                self.ctx.storage.sql.exec("SELECT 1")
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader) as stream:
            return stream.read()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        method = request.url.rpartition("/")[2]
        return Response(str(await getattr(self.env.COUNTER.get_by_name("a"), method)()))
"""


async def test_a_forked_child_is_refused_the_storage_and_its_parent_keeps_it(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, SETTINGS) as run:
        assert await run.get("/count") == (200, "1")

        status, said = await run.get("/fork")

        assert status == 200
        assert said.startswith("StorageError: storage was used in a forked process")
        assert await run.get("/count") == (200, "3")
