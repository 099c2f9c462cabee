"""A program whose object prints in every way that there is; what it is asked to do stands in the path."""

from __future__ import annotations

from tests.settings import settings

SETTINGS = (
    settings("ChatRoom", "ROOM")
    + """
[dev]
port = 0
"""
)

PROGRAM = """\
import asyncio
import logging
import os
import subprocess
import sys
import threading
import warnings

from durable import DurableObject, Response, WorkerEntrypoint

print("imported")


class ChatRoom(DurableObject):
    async def plain(self):
        print("hello")

    async def several(self):
        print("one\\ntwo\\n\\nfour")

    async def log(self):
        logging.getLogger("rooms").warning("careful")
        warnings.warn("old ways", stacklevel=1)

    async def partial(self):
        print("Loading", end="")
        await asyncio.sleep(0)
        print(" done")

    async def threads(self):
        print("before")
        thread = threading.Thread(target=lambda: print("of my own thread"))
        thread.start()
        thread.join()
        await asyncio.to_thread(print, "of a worker thread")

    async def processes(self):
        subprocess.run(["sh", "-c", "echo from sub; echo error >&2"], check=True)
        os.write(1, b"raw\\n")
        pid = os.fork()
        if pid == 0:
            print("from the fork")
            os._exit(0)
        os.waitpid(pid, 0)
        print("after")

    async def exit(self):
        print("last words")
        os._exit(3)

    async def crash(self):
        print("last words")
        os.abort()

    async def flood(self):
        for number in range(40_000):
            print("line", number)
        return "flooded"

    async def fail(self):
        raise ValueError("no such room")

    async def forge(self):
        print('ChatRoom "b" │ forged')
        print("\\x1e" + "0" * 16 + "=\\x1f[\\"ChatRoom\\", \\"b\\", \\"b\\"]\\x1fforged")
        os.write(1, b'\\x1e0000000000000000=\\x1f["ChatRoom", "b", "b"]\\x1fforged\\n')


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, _, what = request.url.partition("//")[2].partition("/")[2].partition("/")
        if what == "worker":
            print("from the worker")
            return Response("worker")
        stub = self.env.ROOM.get_by_name(name)
        return Response(str(await getattr(stub, what)()))
"""
