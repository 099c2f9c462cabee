# workerd with the program of worker.js, its objects in SQLite files below the folder given as `state`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "state", disk = (path = "state", writable = true)) ],
  sockets = [ (name = "http", http = (), service = "main") ],
);

const main :Workerd.Worker = (
  modules = [ (name = "worker.js", esModule = embed "worker.js") ],
  compatibilityDate = "2026-01-01",
  durableObjectStorage = (localDisk = "state"),
  durableObjectNamespaces = [
    (className = "Counter", uniqueKey = "counter", enableSql = true),
    (className = "Kv", uniqueKey = "kv", enableSql = true),
    (className = "Echo", uniqueKey = "echo", enableSql = true),
    (className = "Room", uniqueKey = "room", enableSql = true),
    (className = "Sleeper", uniqueKey = "sleeper", enableSql = true),
  ],
  bindings = [
    (name = "COUNTER", durableObjectNamespace = "Counter"),
    (name = "KV", durableObjectNamespace = "Kv"),
    (name = "ECHO", durableObjectNamespace = "Echo"),
    (name = "ROOM", durableObjectNamespace = "Room"),
    (name = "SLEEPER", durableObjectNamespace = "Sleeper"),
  ],
);
