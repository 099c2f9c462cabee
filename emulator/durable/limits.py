"""Every bound of the product: number, unit, and where it comes from. Imports nothing.

"platform" is Cloudflare's documented or observed limit for Durable Objects; "ours" is a choice of this emulator, made
so that no queue, buffer or loop is without a bound. Hitting a bound is an error with a name, never a silent drop.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- identifiers and names ------------------------------------------------------------------------------------
OBJECT_NAME_BYTES_MAX: Final = 1024
"""UTF-8 bytes of a name that `ctx.id.name` still reports (platform: beyond it the name is undefined)."""

# --- events ---------------------------------------------------------------------------------------------------
CRITICAL_SECTION_SECONDS: Final = 30.0
"""How long `block_concurrency_while` and `transaction` may hold an actor (platform)."""
CRITICAL_SECTION_DEPTH_MAX: Final = 64
"""Nesting of critical sections (platform)."""
COMMIT_SECONDS_MAX: Final = 30.0
"""How long the disk may take to make a commit durable before the objects that wait for it are reset (platform)."""
MAILBOX_EVENTS_MAX: Final = 1000
"""Events waiting for one actor before new requests and calls are answered 503 `overloaded` (ours)."""
RUNNING_EVENTS_MAX: Final = 10_000
"""The same for events that run, or wait for something themselves. Messages of web sockets and alarms count but are
never turned away: they have bounds of their own, in the gateway (ours)."""
ALARM_RETRIES_MAX: Final = 6
"""Counted retries of a failing alarm handler: seven runs in all (platform)."""
ALARM_RETRY_SECONDS: Final = 2.0
"""First delay; doubles with each retry, plus up to a quarter of jitter (platform)."""
ALARM_HANDLER_SECONDS: Final = 15 * 60.0
"""Wall time an alarm handler may take (platform)."""
ALARM_RETRY_DOUBLINGS_MAX: Final = 9
"""The delay before a retry stops doubling at 2 s << 9, which is 1024 s (platform)."""
ALARM_HOST_RETRY_SECONDS: Final = 0.5
"""First delay after a run that a lost or missing host or a failing disk ended; it doubles and is not counted (ours)."""
ALARM_HOST_RETRY_DOUBLINGS_MAX: Final = 11
"""That delay stops doubling at 0.5 s << 11, which is 1024 s; a new host ends it early (platform)."""
ALARM_RUNS_MAX: Final = 64
"""Alarms that run at the same time; more overdue ones wait their turn (ours)."""
ADVANCE_KEPT_SECONDS: Final = 1.0
"""Real time between two writes of the clock during an advance: a crash takes it back by no more than that (ours)."""
ADVANCE_ANSWER_SECONDS: Final = 1.0
"""How long one question about an advance waits for its end, so that whoever asks can tell how far it is (ours)."""
ALARM_FIRE_ANSWER_SECONDS: Final = 50.0
"""How long firing an alarm waits for its outcome; less than the minute that a tool waits for an answer (ours)."""
ALARMS_LISTED_MAX: Final = 10_000
"""Alarms in one listing, the nearest of each class (ours)."""
ALARM_WINDOW_SECONDS: Final = 60.0
"""How far ahead the alarm scheduler looks; later alarms are only in the index (ours)."""
ALARMS_WAITING_MAX: Final = 10_000
"""Alarms in the scheduler's memory; the nearest stay, the others are read again from the index (ours)."""
CRONS_MAX: Final = 250
"""Cron triggers of one worker (platform: as many as one paid account has)."""
CRON_RUNS_MAX: Final = 16
"""Runs of `scheduled` at the same time; what falls due beyond them is left out, and said so (ours)."""
CRON_HANDLER_SECONDS: Final = 15 * 60.0
"""Wall time a run of `scheduled` may take (platform)."""
CRON_LATE_SECONDS_MAX: Final = 60.0
"""A trigger that is noticed later than this was missed, as while the machine slept, and is not made up (ours)."""
SCHEDULE_ENTRIES_MAX: Final = 1000
"""Entries of one object's `Schedule`: they are one stored value, read and written whole (ours)."""
IDLE_SECONDS: Final = 10.0
"""Quiet time after which an actor that nothing pins is evicted (platform)."""
PIN_SECONDS_MAX: Final = 15 * 60.0
"""How long one timer, one wait of a task or one outgoing socket may keep an actor in memory (platform)."""
PINS_TOLD_MAX: Final = 20
"""Tasks and timers that are told one by one when somebody asks what pins an actor; the others are counted (ours)."""
EVICT_SECONDS_MAX: Final = 1.0
"""How long an eviction that was asked for waits for a commit or a look at the object's file to end (ours)."""
CONSTRUCTION_SECONDS_FIRST: Final = 0.1
"""How long an actor whose construction failed is not constructed again; doubles with each failure (ours)."""
CONSTRUCTION_SECONDS_MAX: Final = 5.0
"""The pause between constructions of a failing actor stops doubling here (ours)."""
CONSTRUCTION_FORGIVEN_SECONDS: Final = 10.0
"""A failing actor that nobody asked for this long after its pause begins with the first pause again (ours)."""
CONSTRUCTIONS_FAILED_MAX: Final = 10_000
"""Failed constructions that one host remembers; the oldest are forgotten, and their actors tried at once (ours)."""
FAILURES_TOLD_MAX: Final = 256
"""Distinct failures of constructors whose stacks were shown and are only counted from then on (ours)."""
FAILURES_TOLD_SECONDS: Final = 1.0
"""Between two lines that count a failure that goes on; doubles to a minute, and a minute's silence ends it (ours)."""
REPORT_FRAMES_MAX: Final = 60
"""Frames that one report keeps, the innermost; a recursion error has a thousand that say the same (ours)."""
REPORT_ERRORS_MAX: Final = 8
"""Causes, contexts and members of groups that one report tells of (ours)."""
REPORT_LINE_CHARACTERS_MAX: Final = 300
"""One line of source in a report; generated files have lines of megabytes (ours)."""
REPORT_SQL_CHARACTERS_MAX: Final = 800
"""The statement in a report, around the place that SQLite stumbled over (ours)."""
REPORT_ARGUMENT_CHARACTERS_MAX: Final = 40
"""One string or number among the arguments of a failed call (ours)."""
REPORT_ARGUMENTS_CHARACTERS_MAX: Final = 200
"""All arguments of a failed call together (ours)."""
REPORTS_REMEMBERED: Final = 1024
"""Failures that were told; one that turns up again meanwhile, as a task's that two await, is not told twice (ours)."""
REPORTS_REMEMBERED_SECONDS: Final = 10.0
"""After this time a failure that is met again is told again (ours)."""
SECRET_CHARACTERS_MIN: Final = 4
"""A shorter value is not looked for in reports: it would be found by chance, and protects nothing (ours)."""
SECRETS_HIDDEN_MAX: Final = 20_000
"""Ways to write secrets that reports are searched for, some ten for each secret (ours)."""

# --- the wire -------------------------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 64 * MIB
"""Largest frame either process accepts from the other: the largest WebSocket message or RPC payload, twice (ours)."""
INLINE_BODY_BYTES_MAX: Final = 256 * KIB
"""Bodies up to this size travel inside the request or reply frame; larger ones stream (ours)."""
BODY_CHUNK_BYTES: Final = 128 * KIB
"""Size of one chunk of a streamed body (ours)."""
BODY_WINDOW_BYTES: Final = 1 * MIB
"""Credit of one streamed body: bytes in flight before the sender waits (ours)."""
CHANNEL_HIGH_WATER_BYTES: Final = 8 * MIB
"""Unsent bytes on a channel above which streams wait (ours)."""
RPC_PAYLOAD_BYTES_MAX: Final = 32 * MIB
"""Arguments or result of one call (platform)."""
WITHHELD_MESSAGES_MAX: Final = 200_000
"""Messages of one host that wait for their epoch in the gateway; a host beyond it is replaced (ours)."""
RELAYED_REQUESTS_MAX: Final = 10_000
"""Requests and calls that one host may have open to others; more fail as overloaded (ours)."""
ADMIN_BODY_BYTES_MAX: Final = 1 * MIB
"""Body of one request to `/__durable/*` (ours)."""
ADMIN_BODY_SECONDS_MAX: Final = 10.0
"""How long such a body may take to arrive (ours)."""
INSPECT_ROWS_MAX: Final = 10_000
"""Rows that each statement of one look at an object's file may return (ours)."""
INSPECT_BYTES_MAX: Final = 16 * MIB
"""Bytes of all rows that one look at an object's file may return; 64 for a row and 16 for a value are counted beside
their texts and blobs (ours)."""
INSPECT_SECONDS_MAX: Final = 10.0
"""How long one look at an object's file may keep the object waiting (ours)."""
INSPECT_MEMORY_BYTES_MAX: Final = 256 * MIB
"""Memory that SQLite may take for one look at an object's file, which is how much it sorts (ours)."""
INDEX_WRITES_WAITING_MAX: Final = 200_000
"""Rows of the object index that wait for the disk in the gateway; a host that asks for more is replaced (ours)."""

# --- web sockets ----------------------------------------------------------------------------------------------
SOCKET_MESSAGE_BYTES_MAX: Final = 32 * MIB
"""One received WebSocket message (platform)."""
SOCKET_TAGS_MAX: Final = 10
"""Tags of one WebSocket (platform)."""
SOCKET_TAG_BYTES_MAX: Final = 256
"""UTF-8 bytes of one tag (platform)."""
SOCKETS_PER_OBJECT_MAX: Final = 32_768
"""Accepted WebSockets of one object (platform)."""
SOCKET_ATTACHMENT_BYTES_MAX: Final = 16_384
"""One attachment, encoded (platform)."""
AUTO_RESPONSE_BYTES_MAX: Final = 2048
"""UTF-8 bytes of the request, and of the response, of an auto-response (platform)."""
SOCKET_EVENT_TIMEOUT_MS_MAX: Final = 604_800_000
"""Longest time limit that an object may set for its WebSocket events: seven days (platform)."""
SOCKET_CLOSE_REASON_BYTES_MAX: Final = 123
"""UTF-8 bytes of the reason in a close frame (platform: RFC 6455, 5.5)."""
SOCKET_FRAGMENTS_MAX: Final = 131_072
"""Frames of one received message; beyond it the socket is closed with 1008. A message of 4 MiB in frames of 64 bytes,
which the Autobahn suite sends, has half as many (ours)."""
SOCKET_EMPTY_FRAGMENTS_MAX: Final = 1024
"""Empty ones among them: they cost work and carry nothing (ours)."""
SOCKET_CONTROL_FRAMES_MAX: Final = 1000
"""Pings and pongs of one client in `SOCKET_CONTROL_FRAMES_SECONDS`; beyond it the socket is closed with 1008 (ours)."""
SOCKET_CONTROL_FRAMES_SECONDS: Final = 1.0
"""The time in which they are counted (ours)."""
SOCKET_MESSAGE_STALL_SECONDS: Final = 60.0
"""How long a client may send nothing of a message that it has begun; then the socket is closed with 1008. A socket
between two messages may be quiet for ever (ours)."""
SOCKET_UNREAD_BYTES_MAX: Final = 64 * KIB
"""Bytes kept of a client whose events pile up before its connection is not read any more (ours)."""
SOCKET_KEEPALIVE_SECONDS: Final = 60
"""Quiet time after which TCP asks whether the client's machine is still there; Linux would wait two hours (ours)."""
SOCKET_KEEPALIVE_AGAIN_SECONDS: Final = 10
"""Pause before TCP asks again (ours)."""
SOCKET_KEEPALIVE_PROBES: Final = 3
"""Unanswered questions after which the client is gone (ours)."""
SOCKET_EVENTS_WAITING_MAX: Final = 1024
"""Events of one client socket waiting for its actor before the gateway stops reading that socket (ours)."""
WORKER_SOCKETS_MAX: Final = 32_768
"""Sockets that the workers of one host hold, or have passed on from the outside; one more is refused (ours)."""
OUTGOING_SOCKETS_MAX: Final = 4096
"""Sockets to servers outside that one host has open; one more is refused (ours)."""
SOCKET_JOINED_EVENTS_MAX: Final = 16_384
"""Messages waiting for one end of a pair whose other end is user code, too, which cannot be stopped like a client's
connection; beyond it, or beyond `SOCKET_SEND_BURST_BYTES_MAX` of them, both ends hear 1013 (ours)."""
SOCKET_SEND_BUFFER_BYTES_MAX: Final = 4 * MIB
"""Bytes the gateway keeps for one client that does not read; beyond it the socket is closed with 1013 (ours)."""
SOCKET_SEND_UNTAKEN_BYTES_MAX: Final = 8 * MIB
"""Bytes kept for a client that has taken nothing since `SOCKET_SEND_BUFFER_BYTES_MAX` were waiting, and one more for
each that it has; beyond it 1013 at once. One message may be larger (ours)."""
SOCKET_HELD_BYTES_MAX: Final = 64 * KIB
"""Bytes for one client that wait for the end of a loop turn, to be written together (ours)."""
SOCKET_SEND_BURST_BYTES_MAX: Final = 64 * MIB
"""Bytes kept for a client that does read, but slower than its actor sends; beyond it 1013 at once (ours)."""
SOCKET_STALL_SECONDS: Final = 2.0
"""A client with more than `SOCKET_SEND_BUFFER_BYTES_MAX` waiting must take that much in this time (ours)."""
SOCKET_EVENTS_WAITING_BYTES_MAX: Final = 4 * MIB
"""The same bound in bytes of payload; one message may be larger (ours)."""
SOCKET_EVENTS_TOTAL_BYTES_MAX: Final = 256 * MIB
"""The same for all clients together: no socket is read meanwhile (ours)."""
SOCKET_CONNECT_SECONDS_MAX: Final = 60.0
"""Time between accepting a socket and handing its client end over, in either order (ours)."""
SOCKET_CLOSE_SECONDS_MAX: Final = 10.0
"""How long a closing socket waits for its client's close frame, or to get its own out (ours)."""
SOCKET_VIOLATION_SECONDS_MAX: Final = 1.0
"""How long the close frame for a client that broke the protocol waits for answers to what it said before (ours)."""
SOCKET_CLOSE_ANSWER_SECONDS_MAX: Final = 60.0
"""How long a client that said close waits for its actor's answer before the connection is dropped (ours)."""
REBIND_REQUEST_BYTES_MAX: Final = 64 * KIB
"""URL and headers of an upgrade, kept to ask the new code again; a socket with more is closed instead (ours)."""
REBINDS_AT_ONCE_MAX: Final = 32
"""Sockets for which the new code is asked at the same time; the others wait their turn (ours)."""

# --- memory ---------------------------------------------------------------------------------------------------
GC_YOUNG_OBJECTS: Final = 10_000
"""Allocations between two collections of young objects. Python's 700 costs a busy process a fifteenth of its time;
what dies young does so by reference count (ours)."""
SWEEP_SLICE_SECONDS: Final = 0.003
"""How long the sweep closes files before events have their turn; one takes about 0.2 ms (ours)."""

PINNED_OBJECTS_NAMED_MAX: Final = 100
"""Objects that are named as those that could not be evicted with all others; the rest is counted (ours)."""

# --- the timeline ---------------------------------------------------------------------------------------------
TIMELINE_ENTRIES_MAX: Final = 250
"""What one process remembers of one object: its last events, SQL statements and so on; the oldest go (ours)."""
TIMELINE_OBJECTS_MAX: Final = 200
"""Objects of which one process remembers that; the one that was quiet for longest goes. All of it together takes
8 MiB when it is full, 20 MiB when no two texts are the same (ours)."""
TIMELINE_LEFT_ENTRIES_MAX: Final = 1000
"""Entries that a host leaves to the gateway when it is replaced, the newest of all its objects, and that the gateway
keeps of former hosts together; to hand them over takes a millisecond of a reload (ours)."""
TIMELINE_TEXT_CHARACTERS_MAX: Final = 200
"""Characters of SQL, of a path or of an error's message that are remembered (ours)."""
TIMELINE_ANSWER_ENTRIES_MAX: Final = 10_000
"""Entries in one answer of `/__durable/events` (ours)."""
TIMELINE_ANSWER_SECONDS: Final = 1.0
"""How long such an answer waits for a host, which may be stuck just when somebody wants to know why (ours)."""

# --- the log --------------------------------------------------------------------------------------------------
OUTPUT_LINE_BYTES_MAX: Final = 64 * KIB
"""One line that user code prints; the rest of a longer one is counted (ours)."""
OUTPUT_LABEL_BYTES_MAX: Final = 2 * KIB
"""Class, id and name of the object that a line is from: half of what a pipe takes in one piece (ours)."""
OUTPUT_LINES_BEGUN_MAX: Final = 1000
"""Lines of one pipe that have begun and not ended; when there are more, all are shown as they are (ours)."""
OUTPUT_QUIET_SECONDS: Final = 0.2
"""A line that has begun is shown when nothing came for this long; a human does not feel it (ours)."""
OUTPUT_BEGUN_SECONDS_MAX: Final = 1.0
"""A line that goes on and on, such as a progress bar, is shown this often (ours)."""
OUTPUT_READ_BYTES: Final = 16 * KIB
"""Bytes read of a host's output at a time: some two hundred lines, so that everything else has its turn (ours)."""
OUTPUT_FLOOD_READ_BYTES: Final = 64 * KIB
"""The same while a host prints more than is shown: all that its pipe holds (ours)."""
OUTPUT_FLOOD_READ_SECONDS: Final = 0.004
"""Pause between such reads: a wake-up for every line would cost the gateway ten times as much (ours)."""
OUTPUT_LAST_LINES: Final = 20
"""Lines shown at the end of what is left out: the last one before a crash says most (ours)."""
OUTPUT_BURST_LINES: Final = 10_000
"""Lines that one host may print at once; then `OUTPUT_LINES_PER_SECOND` are shown, and the rest counted (ours)."""
OUTPUT_LINES_PER_SECOND: Final = 1000
"""Far beyond reading, and 2 % of a busy gateway (ours)."""
OUTPUT_BURST_BYTES: Final = 4 * MIB
"""The same bound in bytes (ours)."""
OUTPUT_BYTES_PER_SECOND: Final = 1 * MIB
"""The same bound in bytes (ours)."""
OUTPUT_LEFT_OUT_SECONDS: Final = 1.0
"""Pause between two lines that count what was left out (ours)."""
OUTPUT_LEFT_OUT_OBJECTS_MAX: Final = 5
"""Objects that are named by such lines, those with the most lines; the others are counted together (ours)."""
OUTPUT_LABELS_MAX: Final = 1000
"""Objects whose labels are remembered on either side of the pipe (ours)."""
TAILS_MAX: Final = 16
"""`durable tail`s of one emulator at a time (ours)."""
TAIL_TICK_SECONDS: Final = 0.05
"""Events wait this long to be sent to a tail together (ours)."""
TAIL_EVENTS_PER_TICK_MAX: Final = 100
"""Events sent to a tail in that time, what user code prints not among them; the rest is counted (ours)."""
TAIL_WAITING_BYTES_MAX: Final = 8 * MIB
"""What waits for a tail that does not read; beyond it events are counted (ours)."""

# --- HTTP -----------------------------------------------------------------------------------------------------
HTTP_URL_BYTES_MAX: Final = 16 * KIB
"""The URL of a request (platform)."""
HTTP_HEADER_BYTES_MAX: Final = 64 * KIB
"""One header of a request (ours)."""
HTTP_HEADERS_MAX: Final = 128
"""Header fields of one request (ours)."""
HTTP_HEAD_BYTES_MAX: Final = 128 * KIB
"""All header fields of a request, or of a response, together (platform)."""
HTTP_HEAD_SECONDS_MAX: Final = 30.0
"""How long a client may take from the first byte of a request to the end of its headers (ours)."""
CONNECT_SECONDS_MAX: Final = 30.0
"""How long `fetch` may take to connect to a server outside (ours)."""
HTTP_BODY_BYTES_MAX: Final = 100 * MIB
"""Request body (platform, free and pro plans)."""
FORM_PARTS_MAX: Final = 10_000
"""Fields of one multipart/form-data body (ours)."""
FORM_PART_HEAD_BYTES_MAX: Final = 16 * KIB
"""Header lines of one field of such a body, its name and filename among them (ours)."""
BODY_STALL_SECONDS_MAX: Final = 60.0
"""How long a client may send nothing of a body it announced, or take nothing of a response (ours)."""
BODY_LINGER_SECONDS: Final = 10.0
"""How long the rest of a body that was refused is read and thrown away, so that the answer arrives (ours)."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""Quiet time after which a connection without a request is closed (ours)."""
REFUSAL_REPORT_SECONDS: Final = 1.0
"""Of requests refused for one reason, the terminal is told of one in this time, and how many more there were (ours)."""
REFUSAL_REPORT_CHARACTERS_MAX: Final = 160
"""Characters of a client's own words in such a report (ours)."""
HELD_REQUESTS_MAX: Final = 10_000
"""Requests that wait while hosts are replaced; more are answered 503 (ours)."""
HOLD_SECONDS_MAX: Final = 30.0
"""How long a request waits for a host before it is answered 503 (ours)."""
NEIGHBOUR_HOLD_SECONDS: Final = 1.0
"""How long a call of another worker waits for the end of a reload before it goes to the hosts that are left (ours)."""

# --- reload ---------------------------------------------------------------------------------------------------
DRAIN_SECONDS: Final = 3.0
"""Deadline for running events of the old generation; `[dev] drain_seconds` (ours)."""
BOOT_SECONDS_MAX: Final = 10.0
"""How long a host may take to say hello before the time for importing the program begins to count (ours)."""
DRAIN_GRACE_SECONDS: Final = 1.0
"""What a host may take beyond its drain deadline to commit and close before it is killed (ours)."""
EXIT_GRACE_SECONDS: Final = 2.0
"""How long a host may live on after it said `Closed`, or after its channel ended, before it is killed (ours)."""
RELOAD_QUIET_SECONDS: Final = 1.0
"""A save after this much quiet reloads at once (ours)."""
RELOAD_SETTLE_SECONDS: Final = 0.25
"""Quiet that a later save waits for (ours)."""
RELOAD_WAIT_SECONDS_MAX: Final = 1.0
"""Longest wait for that quiet (ours)."""
DEBUGGER_STOPS_MAX: Final = 100
"""Threads of one host that may stand at a prompt of pdb, or wait for it, at a time (ours)."""
DEBUG_CLIENTS_MAX: Final = 16
"""Connections of editors to the ports of `durable dev --debug` at a time (ours)."""
DEBUG_MESSAGE_BYTES_MAX: Final = 64 * MIB
"""One message between an editor and debugpy (ours)."""
DEBUG_WAIT_SECONDS_MAX: Final = 60.0
"""How long an editor that connects waits for a host with debugpy in it (ours)."""
STALE_LOADS_MAX: Final = 3
"""Loads of one reload when the files keep changing underneath; then the last one counts (ours)."""
STANDBY_DELAY_SECONDS: Final = 0.3
"""Pause before the first standby is prepared, so that it does not compete with the first requests (ours)."""
STANDBY_AGAIN_SECONDS: Final = 0.05
"""The same after a standby was used: the next save can follow soon (ours)."""
OWN_WRITES_MIN: Final = 5
"""Loads in a row during which a file changes until it counts as written by the program, not as saved (ours)."""
OWN_WRITES_SECONDS: Final = 0.2
"""How long after a load a change is put down to it (ours)."""
SOURCES_KEPT_BYTES_MAX: Final = 8 * MIB
"""Source files of the serving program that are kept, for a host that dies while the disk holds a bad save: 200 000
lines. Of a larger program none are, and its replacements run what is on the disk (ours)."""
WATCHED_FOLDERS_MAX: Final = 8192
"""Folders of a project that are watched: one inotify watch each, of 8192 by default at least (ours)."""
RESTART_SECONDS_FIRST: Final = 0.1
"""Delay before the second restart in a row; doubles from there (ours)."""
RESTART_SECONDS_MAX: Final = 5.0
"""The delay between restarts stops doubling here (ours)."""
RESTART_FORGIVEN_SECONDS: Final = 10.0
"""A host that lived this long starts the count of restarts anew (ours)."""

# --- faults of user code --------------------------------------------------------------------------------------
PING_SECONDS: Final = 0.5
"""How often a host that serves is asked whether its loop runs; it has one question open at a time (ours)."""
WATCHDOG_LOOK_SECONDS: Final = 0.25
"""How often the watchdog looks for answers. A longer pause of its own, as in a laptop's sleep, counts as one (ours)."""
PASS_ON_SECONDS: Final = 0.5
"""Silence of a host after which others get the requests that it has not begun, where there are others (ours)."""
HALT_SECONDS_MAX: Final = 0.25
"""How long a silent host is waited for to stand still, so that requests can be taken back from it (ours)."""
WATCHDOG_WARNING_SECONDS: Final = 1.0
"""Silence of a host after which the developer is shown the line that it is at (ours)."""
STACK_WAIT_SECONDS: Final = 0.5
"""How long a host's stack is waited for; it is there within a millisecond unless the machine is very busy (ours)."""
HOST_REPORT_BYTES_MAX: Final = 64 * KIB
"""Of a host's stacks that are read at a time: what a pipe holds; a stack of 100 frames has some 10 KiB (ours)."""
RUNNING_NAMED_MAX: Final = 5
"""Requests of a host that hangs which are named when it cannot say which object it is (ours)."""
BLOCKED_MILLISECONDS: Final = 100.0
"""A step of user code that takes this long is named, once for each place (ours)."""
BLOCKED_PLACES_TOLD_MAX: Final = 256
"""Places that one host names; a program with more of them needs no more hints (ours)."""
LOOP_LOOK_SECONDS: Final = 0.075
"""How often a host's loop is looked at: a step that is worth naming is seen once at least (ours)."""
LOOP_LOOK_AGAIN_SECONDS: Final = 0.02
"""How soon after it was found at work it is looked at again, to see whether that is still the same step (ours)."""
RESENDS_MAX: Final = 3
"""How many hosts may die before one begins with a request; then it is answered 503 (ours)."""
MEMORY_EXIT_CODE: Final = 78
"""A host exits with this code when it stays over its limit; sysexits.h calls it a matter of configuration (ours)."""
MEMORY_SPARE_BYTES: Final = 32 * MIB
"""What a host may take beyond its memory limit while it reports that the limit was met (ours)."""
MEMORY_AGAIN_SECONDS: Final = 0.5
"""How soon the limit is as before; a host that still holds more is replaced (ours)."""

# --- configuration --------------------------------------------------------------------------------------------
CONFIG_BYTES_MAX: Final = 256 * KIB
"""One configuration file (ours)."""
NEARBY_FOLDERS_MAX: Final = 200
"""Folders beside a project that are searched for the worker which one of its bindings names (ours)."""
CONFIG_DEPTH_MAX: Final = 64
"""Nesting of arrays and tables, and parts of a dotted key: TOML parsers are quadratic or recursive in them (ours)."""
CONFIG_WORD_CHARACTERS_MAX: Final = 1024
"""One unquoted word: Python refuses to read numbers of more than 4300 digits, and nobody types one (ours)."""
WORKER_NAME_CHARACTERS_MAX: Final = 63
"""A worker's name is a label of a host name (platform)."""
CLASS_NAME_BYTES_MAX: Final = 128
"""UTF-8 bytes of a class name: with its suffix it names a folder, and folder names end at 255 bytes (ours)."""
MIGRATION_TAG_CHARACTERS_MAX: Final = 64
"""Characters of the tag of a migration (ours)."""
MIGRATIONS_MAX: Final = 1000
"""Entries of `[[migrations]]` (ours)."""
NEIGHBOUR_PROJECTS_MAX: Final = 200
"""Folders beside a project that are searched for the worker that a class is transferred from (ours)."""
BINDINGS_MAX: Final = 1000
"""Entries of `[[durable_objects.bindings]]`, and of `[[services]]` (ours)."""
ASSET_PATTERNS_MAX: Final = 100
"""Paths of `run_worker_first` (platform)."""
ASSET_PATTERN_CHARACTERS_MAX: Final = 100
"""One of these paths (platform)."""
ASSETS_IGNORE_BYTES_MAX: Final = 64 * KIB
"""One `.assetsignore` file (ours)."""
ASSET_PATH_CHARACTERS_MAX: Final = 4096
"""The path of a request that is looked for among the assets; a longer one is the worker's (ours)."""
HOSTS_MAX: Final = 64
"""Host processes of one emulator (ours)."""
SECRETS_BYTES_MAX: Final = 256 * KIB
"""One `.dev.vars` or `.env` file (ours)."""

# --- values ---------------------------------------------------------------------------------------------------
VALUE_DEPTH_MAX: Final = 128
"""Nesting of containers in one stored or sent value; keeps copying far from Python's recursion limit (ours)."""

# --- portability ----------------------------------------------------------------------------------------------
PORTABILITY_PLACES_MAX: Final = 10_000
"""Places in user code that one process warns about, and one gateway passes on; further ones stay unmentioned (ours)."""

# --- schema of objects ----------------------------------------------------------------------------------------
SCHEMA_FILES_MAX: Final = 9999
"""Migrations of one class: what four digits count to (ours)."""
SCHEMA_FILE_BYTES_MAX: Final = 1 * MIB
"""One file of migrations (ours)."""
FLEET_WORKERS_MAX: Final = 16
"""Processes that migrate objects at the same time (ours)."""
FLEET_BATCH_OBJECTS: Final = 64
"""Objects that one of them is given at once: enough that it never waits, few enough for an honest progress (ours)."""
FLEET_PAGE_OBJECTS: Final = 200
"""Objects that a running emulator is asked to migrate in one request (ours)."""
FLEET_AT_ONCE_MAX: Final = 16
"""Objects that a running emulator migrates at the same time, each of them in its host (ours)."""

# --- storage --------------------------------------------------------------------------------------------------
LOCK_HOLDER_ENDS_SECONDS_MAX: Final = 3.0
"""How long the processes of a killed emulator may hold its state directory before the next one is refused; a host
ends when it finds its gateway gone, at the latest at the end of its start (ours)."""
KV_KEY_BYTES_MAX: Final = 2048
"""UTF-8 bytes of one key (platform)."""
SQL_DATABASE_BYTES_MAX: Final = 10 * 1024 * MIB
"""Everything that one object stores, its file without the log (platform)."""
SQL_VALUE_BYTES_MAX: Final = 2 * MIB
"""One string, blob or row, and so one key-value entry (platform)."""
SQL_TEXT_BYTES_MAX: Final = 100_000
"""Length of one statement (platform)."""
SQL_COLUMNS_MAX: Final = 100
"""Columns of a table or a result (platform)."""
SQL_BINDINGS_MAX: Final = 100
"""Bindings of one statement (platform)."""
SQL_EXPRESSION_DEPTH_MAX: Final = 100
"""Nesting of one expression (platform)."""
SQL_COMPOUND_SELECT_MAX: Final = 5
"""SELECTs that UNION, INTERSECT and EXCEPT join in one statement (platform)."""
SQL_LIKE_PATTERN_BYTES_MAX: Final = 50
"""Length of a LIKE or GLOB pattern (platform)."""
SQL_FUNCTION_ARGUMENTS_MAX: Final = 127
"""Arguments of one SQL function (platform)."""
SQL_TRIGGER_DEPTH_MAX: Final = 10
"""Triggers that set each other off (platform)."""
SQL_PROGRAM_STEPS_MAX: Final = 25_000
"""Instructions of one compiled statement (platform)."""
SQL_TURN_SECONDS_MAX: Final = 30.0
"""How long the SQL of one turn may keep its process from everything else: as long as an event may compute on the
platform. Then the statement is interrupted, which for one that writes ends the turn with a reset (ours)."""
SQL_TURN_STEPS: Final = 1_000_000
"""SQLite instructions of one statement between two looks at that time: about ten milliseconds (ours)."""
SQL_STATEMENTS_CACHED_MAX: Final = 128
"""Compiled statements kept per open object, and the facts about them (ours)."""
ALARM_MS_MAX: Final = 6_917_529_027_641
"""Latest alarm, in the year 2189: three quarters of the nanoseconds that fit in 63 bits (platform)."""
CHECKPOINT_LOG_FRAMES: Final = 4096
"""Pages of 4 KiB in a write-ahead log after which it is copied into its file: 16 MiB. The actor stands still for
that, so a busy one should not have to ten times a second (ours)."""
CHECKPOINT_RETRY_FRAMES: Final = 1024
"""Pages that a log grows by before a checkpoint that an unfinished cursor prevented is tried again (ours)."""
HISTORY_BASE_BYTES: Final = 64 * MIB
"""Archived logs of an object after which its file is copied, if that is not larger: a restore copies the file and
replays what follows, so this bounds the time it takes, and the copies at most double what is written (ours)."""
HISTORY_BYTES_MAX: Final = 1024 * MIB
"""History kept of one object, or `HISTORY_FILE_MULTIPLE` times its file if that is more; the oldest goes (ours)."""
HISTORY_FILE_MULTIPLE: Final = 4
"""Sizes of its own file that the history of a large object may take (ours)."""
HISTORY_UNDO_MAX: Final = 1000
"""Restores of one object that can be undone by their bookmark; the oldest is forgotten (ours)."""
HISTORY_SWEEP_SECONDS: Final = 60.0
"""Pause between two looks for history that has become too old, each in one of the 256 folders of a class (ours)."""
TIMES_FLUSH_SECONDS: Final = 1.0
"""How long the times of commits stay in memory: a moment in them resolves to the one before after a crash (ours)."""
TIMES_FLUSH_SLICE_SECONDS: Final = 0.005
"""How long writing them may keep the loop, when many objects were written to (ours)."""
RELAXED_SYNC_SECONDS: Final = 1.0
"""How long a commit may wait for the disk with `durability = "relaxed"` (ours)."""
SYNC_THREADS_MAX: Final = 16
"""Threads that flush the files of one epoch at the same time (ours)."""
KERNEL_SYNCS_MAX: Final = 256
"""Files of one epoch that are given to Linux's asynchronous I/O; further ones go to threads. Linux allows 65 536 on the
whole machine by default (ours)."""
SYNC_FILES_PER_THREAD_MIN: Final = 4
"""Fewer files than this are not worth waking another thread (ours)."""
DESCRIPTORS_RESERVED: Final = 96
"""File descriptors of a process that are kept for everything but object files or clients: the channel, logs, modules
that are being imported, sockets of user code (ours)."""
DESCRIPTORS_PER_FILE: Final = 3
"""An open object file has its main file, its log, and the log once more for whoever syncs it (ours)."""
OPEN_FILES_MIN: Final = 16
"""Object files that a host keeps open, however few descriptors it may have (ours)."""
OPEN_FILES_MAX: Final = 512
"""Object files that a host keeps open, however many descriptors it may have: about 200 KiB of memory each (ours)."""
OPEN_FILES_SPARE: Final = 16
"""Files that may be open beyond the bound, for turns that are under way when it is reached; as many as calls may be
inside calls (ours)."""
OPEN_FILE_WAIT_SECONDS: Final = 1.0
"""How long events wait for a file to become closable before they are let in one by one, as far as the spare files
reach: who holds the files may be waiting for them (ours)."""
DESCRIPTORS_MAX: Final = 1 << 20
"""Soft limit that we ask for where the hard one is higher or missing (ours)."""
SYNCED_LOGS_MAX: Final = 10_000
"""Sleeping objects of which a host remembers that their logs are on the disk; others sync them at their wake (ours)."""
INSPECT_STEPS: Final = 10_000
"""SQLite instructions between two looks at the time limit of a tool's query; about a tenth of a millisecond (ours)."""

# --- data tools -----------------------------------------------------------------------------------------------
CHECKUP_FINDINGS_MAX: Final = 10_000
"""Findings of `durable doctor` that it shows or prints as JSON; more are mended and counted all the same (ours)."""
QUERIES_MAX: Final = 4
"""Queries of all objects of a class that a running emulator answers at a time (ours)."""
QUERY_BATCH_OBJECTS: Final = 128
"""Objects that such a query asks for in one message: enough that no host waits, few enough for a first row at once
(ours)."""
QUERY_PAGES_AHEAD: Final = 1
"""Such batches that are being answered while the one before them is sent (ours)."""
QUERY_BATCH_BYTES: Final = 1 * MIB
"""Size from which on an answer is sent with fewer objects than were asked for (ours)."""
QUERY_BATCH_SECONDS: Final = 1.0
"""Time after which it is: a client that has gone is not worked for much longer (ours)."""
QUERY_OBJECT_BYTES_MAX: Final = 4 * MIB
"""Rows of one object in a query of all of them; more are left out and told of. As JSON, where a character may take six
bytes, they fit into a frame (ours)."""
QUERY_LENT_OBJECTS_MAX: Final = 32
"""Sleeping objects whose files such a query reads at once, and whose events wait for that (ours)."""
QUERY_LENT_SECONDS: Final = 0.02
"""When reading them took longer, they are read one by one (ours)."""
QUERY_BUSY_SECONDS_MAX: Final = 2.0
"""How long such a query waits for the end of an object's turn (ours)."""
QUERY_TRIES_MAX: Final = 3
"""How often it asks when a host dies or is replaced (ours)."""
LIST_OBJECTS_MAX: Final = 10_000
"""Objects on one page of `durable objects list` (ours)."""
LIST_ANSWER_SECONDS_MAX: Final = 2.0
"""How long such a page waits for a host that is busy with user code; what that host knows is left out (ours)."""
IMPORT_LINE_BYTES_MAX: Final = 8 * SQL_VALUE_BYTES_MAX
"""One line of JSON Lines that is imported: a row of the largest size, every byte of which JSON writes as six
characters, with room for its brackets (ours)."""
IMPORT_STATEMENT_BYTES_MAX: Final = 4 * SQL_VALUE_BYTES_MAX + SQL_TEXT_BYTES_MAX
"""One statement of an SQL script that is imported: a row of the largest size, as hexadecimal digits or with every
quote doubled (ours)."""
SEED_BYTES_MAX: Final = 64 * SQL_VALUE_BYTES_MAX
"""A seed file: it is written by hand, and what is larger is data to import (ours)."""
SNAPSHOT_LABEL_CHARACTERS_MAX: Final = 64
"""The label of a snapshot, which is the name of a folder (ours)."""
