"""A report as the text of a Python traceback, oldest frame first: what editors and log files know how to read.

Put together from what the report holds; `traceback` in the standard library parses each line once more for its carets.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable.wire.messages import ErrorReport, Frame

_LED_TO = {
    "cause": "The above exception was the direct cause of the following exception:",
    "context": "During handling of the above exception, another exception occurred:",
}


def traceback_text(report: ErrorReport) -> str:
    """Ends with a newline, as `traceback.format_exception` does."""
    blocks: list[str] = []
    for error in reversed(report.related):
        if error.depth == 0 and error.relation in _LED_TO:
            blocks += [_block(error.type, error.message, error.notes, error.frames), _LED_TO[error.relation]]
    blocks.append(_block(report.type, report.message, report.notes, report.frames))
    for error in report.related:
        if error.depth:
            block = _block(error.type, error.message, error.notes, error.frames)
            margin = "  " * error.depth + "| "
            blocks.append("\n".join(margin + line for line in block.split("\n")))
    return "\n\n".join(blocks) + "\n"


def _block(kind: str, message: str, notes: Sequence[str], frames: Sequence[Frame]) -> str:
    lines = ["Traceback (most recent call last):"] if frames else []
    for frame in frames:
        lines.append(f'  File "{frame.file}", line {frame.line}' + (f", in {frame.function}" if frame.function else ""))
        if frame.source:
            lines.append(f"    {frame.source}")
            lines += _carets(frame)
        if frame.repeats:
            lines.append(f"  [Previous line repeated {frame.repeats} more times]")
    lines.append(f"{kind}: {message}" if message else kind)
    return "\n".join([*lines, *notes])


def _carets(frame: Frame) -> list[str]:
    if not frame.column or not frame.context:
        return []
    line = frame.context.split("\n")[frame.line - frame.context_line]
    indent = len(line) - len(line.lstrip())
    return [" " * (4 + frame.column - 1 - indent) + "^" * (frame.end_column - frame.column)]
