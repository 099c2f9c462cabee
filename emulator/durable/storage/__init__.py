"""One actor's file: what is in it, what its code may do to it, and when that is on disk.

`actor_store` is the whole of one object's storage, `epoch` makes commits of many objects durable together; `layout`
and `lock` belong to the directory, `index`, `state_db` and `migrations` to the namespaces.
"""
