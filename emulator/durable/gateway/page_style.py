"""The look of error pages: one style sheet, light and dark, nothing loaded from anywhere."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fcfcfd; --card: #ffffff; --rule: #e0e1e6;
  --alarm: #c62a2f; --code: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #a0a4ac; --paper: #111113; --card: #18191b;
  --rule: #2e3035; --alarm: #ff8589; --code: #212225; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.25rem; }
.kind { margin: 0; color: var(--alarm); font-weight: 600; }
h1 { margin: .25rem 0 .5rem; font-size: 1.6rem; line-height: 1.3; font-weight: 650; overflow-wrap: anywhere;
  white-space: pre-wrap; }
.place { margin: 0 0 1.5rem; color: var(--soft); }
.frames { margin: 1.25rem 0; border: 1px solid var(--rule); border-radius: 8px; background: var(--card);
  overflow: hidden; }
article { padding: .75rem 1rem; }
article + article { border-top: 1px solid var(--rule); }
.where { margin: 0; font-size: .9rem; color: var(--soft); overflow-wrap: anywhere; }
.file, .line { color: var(--ink); font-weight: 600; }
pre { margin: .5rem 0 0; padding: .75rem 1rem; border-radius: 6px; background: var(--code); overflow-x: auto; }
code, pre { font: .9rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--soft); }
""".replace("\n", "")
