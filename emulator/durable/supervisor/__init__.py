"""The life of host processes: spawn, load, attach, drain, replace. Speaks to hosts in messages, imports no user code.

`process` is one child of the operating system and `host` the conversation with it; `processes` knows all of them, and
`standby` keeps the next ones warm.
`watcher` says what was saved, `debounce` when to act on it, and `autoreload` acts. `reloader` takes generation n to
n + 1, `backoff` spaces the restarts of a host that keeps dying, and `supervisor` ties them together. `program` is what
a host is told to load, `preparation` makes it of a configuration and the state, `rereading` brings the configuration
anew, and `events` is what is reported.
"""
