"""The platform's Python SDK by its own names: `workers`, `js`, `pyodide`. Thin; what they name is in `durable.sdk`."""
