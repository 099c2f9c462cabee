"""Three objects that go through the storage, alarm and socket chapters of the documentation."""

import json
import time

import js
from js import Object, WebSocketPair, crypto
from pyodide.ffi import create_proxy, to_js
from workers import DurableObject, Response


class Batcher(DurableObject):
    def __init__(self, state, env):
        super().__init__(state, env)
        self.state = state
        self.storage = state.storage
        self.sent = []

        @self.state.blockConcurrencyWhile
        async def initialize():
            newest = await self.storage.list(reverse=True, limit=1)
            self.count = 0
            for key in newest:
                self.count = int(key)

    async def fetch(self, request):
        self.count += 1
        if await self.storage.getAlarm() is None:
            self.storage.setAlarm(int(time.time() * 1000) + 10_000)
        await self.storage.put(self.count, await request.text())
        return Response.json({"queued": self.count})

    async def alarm(self, alarm_info=None):
        batch = await self.storage.list()
        self.sent.append(list(batch.values()))
        await self.storage.deleteAll()
        self.count = 0

    async def batches(self):
        return self.sent


class NoEntry(ValueError):
    """Raised by a store, for whoever asks it."""


class Store(DurableObject):
    """Every method is one page's worth of storage."""

    async def fetch(self, request):
        raise NoEntry(f"no entry at {request.url}")

    async def refuse(self, what):
        raise NoEntry(f"no entry for {what}")

    async def keys(self):
        await self.ctx.storage.put({"a": 1, "b": 2, "c": 3})
        several = await self.ctx.storage.get(["c", "a", "nope"])
        deleted = await self.ctx.storage.delete(["a", "nope"])
        one = await self.ctx.storage.delete("b")
        return {
            "several": dict(several),
            "has": [several.get("a"), "nope" in several, len(several)],
            "deleted": [deleted, one],
            "left": list((await self.ctx.storage.list({"prefix": ""})).keys()),
        }

    def sync_keys(self):
        kv = self.ctx.storage.kv
        kv.put("one", {"nested": [1, 2, {"three": True}]})
        kv.put("two", "text")
        return [[key, value] for key, value in kv.list()] + [kv.get("one").nested[2].three, kv.delete("two")]

    def sql(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS artist(id INTEGER PRIMARY KEY, name TEXT, born REAL, picture BLOB)")
        sql.exec(
            "INSERT INTO artist VALUES(?, ?, ?, ?), (?, ?, ?, ?)",
            *[1, "Ada", 1815.5, to_js(b"\x00\x01"), 2, "Grace", None, b"\x02"],
        )
        cursor = sql.exec("SELECT * FROM artist ORDER BY id")
        columns = list(cursor.columnNames)
        first = cursor.next()
        rest = cursor.toArray()
        grace = sql.exec("SELECT name, picture FROM artist WHERE id = ?", 2).one()
        return {
            "columns": columns,
            "first": [first.done, first.value.name, first.value["born"]],
            "rest": [row.name for row in rest],
            "raw": [list(row) for row in sql.exec("SELECT id, name FROM artist ORDER BY id").raw()],
            "picture": list(bytes(grace.picture)),
            "size": sql.databaseSize > 0,
            "written": sql.exec("UPDATE artist SET born = 1906 WHERE id = 2").rowsWritten,
        }

    async def transactions(self):
        async def fail(txn):
            await txn.put("in", 1)
            raise ValueError("no")

        async def succeed(txn):
            await txn.put("balance", 5)
            return "done"

        found = []
        try:
            await self.ctx.storage.transaction(fail)
        except Exception as error:
            found.append("no" in str(error))
        found.append(await self.ctx.storage.transaction(succeed))
        try:
            self.ctx.storage.transactionSync(self.half)
        except ValueError:
            found.append("sync rolled back")
        found.append([await self.ctx.storage.get(key) for key in ("in", "balance", "half")])
        return found

    def half(self):
        self.ctx.storage.kv.put("half", 1)
        raise ValueError("half")

    async def errors(self):
        from pyodide.ffi import JsException

        found = []
        try:
            self.ctx.storage.sql.exec("SELEC 1")
        except JsException as error:
            found.append("syntax error" in error.message)
        try:
            await self.ctx.storage.put("f", lambda: 1)
        except JsException as error:
            found.append(error.name)
        return found

    async def identity(self):
        again = self.env.STORE.idFromName("a")
        return {
            "name": self.ctx.id.name,
            "equal": self.ctx.id.equals(again),
            "hex": str(self.ctx.id) == self.ctx.id.toString() == again.toString(),
            "from_hex": self.env.STORE.idFromString(str(again)).name is None,
            "unique": self.env.STORE.newUniqueId().name is None,
        }

    def note(self, text):
        self.ctx.storage.kv.put("notes", [*self.notes(), text])

    def notes(self):
        return self.ctx.storage.kv.get("notes") or []

    async def each(self, numbers, callback):
        return [await callback(number) for number in numbers]

    async def counter(self, start):
        count = start

        def up(by=1):
            nonlocal count
            count += by
            return count

        return {"up": up, "start": start}

    async def keep(self, request):
        body = await request.json()
        self.ctx.storage.kv.put("kept", body)
        return Response.json(body, headers={"x-kept": str(len(body))})


class Sessions(DurableObject):
    """Keeps what belongs to a connection in memory, and finds it again when it wakes up."""

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sessions = {}
        for ws in self.ctx.getWebSockets():
            if attachment := ws.deserializeAttachment():
                self.sessions[ws] = attachment.id

        async def initialize():
            self.woken = await self.ctx.storage.get("woken") or 0
            await self.ctx.storage.put("woken", self.woken + 1)

        self.ctx.blockConcurrencyWhile(initialize)

    async def fetch(self, request):
        client, server = WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        session = crypto.randomUUID()
        server.serializeAttachment(Object.fromEntries(to_js([["id", session]])))
        self.sessions[server] = session
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, ws, message):
        for other, session in self.sessions.items():
            if other != ws:
                other.send(f"{message} from {session[:0]}somebody else")
        same = [other for other in self.ctx.getWebSockets() if other == ws]
        ws.send(f"{message} {self.sessions[ws] == ws.deserializeAttachment().id} {len(same)} {self.woken}")

    async def webSocketClose(self, ws, code, reason, wasClean):
        del self.sessions[ws]


class Sockets(DurableObject):
    """The standard API: the object stays in memory while its sockets are open."""

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.open = 0

    async def fetch(self, request):
        pair = Object.values(WebSocketPair.new())
        client, server = pair[0], pair[1]
        server.accept()
        self.open += 1

        def on_message(event):
            server.send(json.dumps({"heard": event.data, "open": self.open}))

        async def on_close(event):
            self.open -= 1
            js.console.log(f"closed with {event.code}")
            on_message_proxy.destroy()
            on_close_proxy.destroy()

        on_message_proxy, on_close_proxy = create_proxy(on_message), create_proxy(on_close)
        server.addEventListener("message", on_message_proxy)
        server.addEventListener("close", on_close_proxy)
        return Response(status=101, web_socket=client)


class Plain(DurableObject):
    """Answers with the classes of JavaScript, from handlers that are not async."""

    initial = {"count": 0}

    @property
    def state(self):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS state(id TEXT PRIMARY KEY, state TEXT)")
        rows = list(self.ctx.storage.sql.exec("SELECT state FROM state WHERE id = ?", "one").toArray())
        return json.loads(rows[0].state) if rows else self.initial

    def fetch(self, request):
        if (request.headers.get("upgrade") or "").lower() == "websocket":
            sockets = list(Object.values(WebSocketPair.new()))
            self.ctx.acceptWebSocket(sockets[1])
            sockets[1].send(json.dumps(self.state))
            return js.Response.new(
                None, to_js({"status": 101, "webSocket": sockets[0]}, dict_converter=Object.fromEntries)
            )
        return js.Response.new(
            json.dumps(self.state),
            to_js({"status": 203, "headers": {"Content-Type": "application/json"}}, dict_converter=Object.fromEntries),
        )

    def webSocketMessage(self, ws, message):
        pair = WebSocketPair.new()
        assert [pair["0"].readyState, pair["1"].readyState] == [1, 1]
        state = {"count": self.state["count"] + len(message)}
        self.ctx.storage.sql.exec("INSERT OR REPLACE INTO state(id, state) VALUES(?, ?)", "one", json.dumps(state))
        for other in self.ctx.getWebSockets():
            other.send(json.dumps(self.state))
