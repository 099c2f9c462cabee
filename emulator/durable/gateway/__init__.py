"""The process that never dies: it owns every client socket and every due alarm, and it never imports user code.

`server` listens, `http` and `websockets` speak with clients, `router` knows which host owns an actor, `link` is one
host as seen from here, `relay` carries what hosts ask of each other, `alarm_scheduler` and `index_writer` keep alarms,
`admin` is `/__durable/*`, `access` decides who may speak at all. `host_side` ties together what faces hosts,
and `front` what faces clients. What happened is told in the classes of `events`.
"""
