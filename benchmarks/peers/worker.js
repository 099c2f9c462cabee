// The same program as benchmarks/app/main.py, for workerd and `wrangler dev`.
import { DurableObject } from "cloudflare:workers";

const VERSION = "version-0";

export class Counter extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.inMemory = 0;
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS hits(page TEXT PRIMARY KEY, n INTEGER NOT NULL)");
  }
  bump() {
    return ++this.inMemory;
  }
  increment(page) {
    return this.ctx.storage.sql
      .exec("INSERT INTO hits VALUES(?, 1) ON CONFLICT(page) DO UPDATE SET n = n + 1 RETURNING n", page)
      .one().n;
  }
  read(page) {
    const rows = this.ctx.storage.sql.exec("SELECT n FROM hits WHERE page = ?", page).toArray();
    return rows.length ? rows[0].n : 0;
  }
}

export class Kv extends DurableObject {
  async increment() {
    const n = (await this.ctx.storage.get("n")) || 0;
    await this.ctx.storage.put("n", n + 1);
    return n + 1;
  }
}

export class Echo extends DurableObject {
  fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, message) {
    ws.send(message);
  }
}

export class Room extends DurableObject {
  fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, message) {
    for (const member of this.ctx.getWebSockets()) member.send(message);
  }
}

export class Sleeper extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.messages = 0;
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS dreams(text TEXT)");
  }
  fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws) {
    ws.send(String(++this.messages));
  }
}

const named = (namespace, name) => namespace.get(namespace.idFromName(name));

export default {
  async fetch(request, env) {
    const [, kind, name = "a"] = new URL(request.url).pathname.split("/");
    switch (kind) {
      case "hello":
        return new Response("Hello, world!");
      case "version":
        return new Response(VERSION);
      case "rpc":
        return new Response(String(await named(env.COUNTER, name).bump()));
      case "sql":
        return new Response(String(await named(env.COUNTER, name).increment("home")));
      case "read":
        return new Response(String(await named(env.COUNTER, name).read("home")));
      case "kv":
        return new Response(String(await named(env.KV, name).increment()));
      case "echo":
        return named(env.ECHO, name).fetch(request);
      case "room":
        return named(env.ROOM, name).fetch(request);
      case "sleep":
        return named(env.SLEEPER, name).fetch(request);
    }
    return new Response("not found", { status: 404 });
  },
};
