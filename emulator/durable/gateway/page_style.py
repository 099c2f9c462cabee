"""The look of error pages: one style sheet, light and dark, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --faint: #8b8d98; --paper: #f6f6f8; --card: #ffffff;
  --rule: #e2e3e8; --alarm: #c62a2f; --hit: #fff0ef; --mark: #ffd3d0; --keyword: #7c3aad; --string: #18794e;
  --value: #0b68cb; --name: #8a4b08; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #a7abb3; --faint: #71757e; --paper: #0f1012;
  --card: #18191c; --rule: #2b2d32; --alarm: #ff8a8c; --hit: #331c1f; --mark: #6b2328; --keyword: #d19dff;
  --string: #71d083; --value: #70b8ff; --name: #ffca7a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); border-top: 4px solid var(--alarm);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 2.5rem 1.25rem 2rem; }
.kind { margin: 0; color: var(--alarm); font-weight: 650; }
h1 { margin: .15rem 0 .6rem; font-size: 1.7rem; line-height: 1.3; font-weight: 650; overflow-wrap: anywhere;
  white-space: pre-wrap; letter-spacing: -.01em; }
.note { margin: 0 0 .6rem; padding-left: .75rem; border-left: 3px solid var(--rule); white-space: pre-wrap;
  overflow-wrap: anywhere; }
.place { margin: 0 0 1.5rem; color: var(--soft); overflow-wrap: anywhere; }
.place code { color: var(--ink); }
.request { margin-left: .5rem; padding: .1rem .5rem; border: 1px solid var(--rule); border-radius: 99px;
  background: var(--card); font-size: .85rem; }
.frames { margin: 0 0 1rem; border: 1px solid var(--rule); border-radius: 10px; background: var(--card);
  overflow: hidden; }
article { padding: .7rem 0 .8rem; }
article + article { border-top: 1px solid var(--rule); }
.where { margin: 0; padding: 0 1rem; font-size: .9rem; color: var(--soft); overflow-wrap: anywhere; }
.folder { color: var(--faint); }
.file, .line { color: var(--ink); font-weight: 600; }
.other { opacity: .8; }
.caller, .related { margin: 1.5rem 0 .6rem; font-size: 1rem; font-weight: 400; color: var(--soft);
  overflow-wrap: anywhere; white-space: pre-wrap; }
.caller code, .related { color: var(--ink); }
.related { margin-top: 2rem; }
.relation { color: var(--soft); }
pre { display: grid; margin: .5rem 0 0; padding: .1rem 0; overflow-x: auto; tab-size: 4; }
pre.text { padding: .9rem 1rem; border: 1px solid var(--rule); border-radius: 10px; background: var(--card); }
code, pre { font: .875rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.row { display: block; min-width: max-content; padding: 0 1rem; }
.gutter { display: inline-block; min-width: 3.4rem; padding-right: 1rem; text-align: right; color: var(--faint);
  user-select: none; }
.hit { background: var(--hit); box-shadow: inset 3px 0 var(--alarm); }
.hit .gutter { color: var(--alarm); font-weight: 700; }
mark { background: var(--mark); color: inherit; border-radius: 3px; }
.keyword { color: var(--keyword); }
.string { color: var(--string); }
.number { color: var(--value); }
.name { color: var(--name); }
.comment { color: var(--faint); font-style: italic; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
details > section, details > pre { margin-top: .75rem; }
footer { margin-top: 2.5rem; color: var(--faint); font-size: .8rem; }
""".replace("\n", "")

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{_DIGEST}'"
"""Content-Security-Policy of these pages: this style sheet, and nothing else."""
