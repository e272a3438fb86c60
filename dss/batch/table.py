"""The table of a batch, with one row for each case."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dss.batch.journal import Case
from dss.text import shown
from snapws.files import write_bytes
from snapws.spreadsheets import guarded

NAME = "results.tsv"
COLUMNS = ("case", "ticket", "status", "seconds", "reason", "files")


def records(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """Return a record with the fields `COLUMNS` for each case."""
    return [
        {
            "case": case.name,
            "ticket": case.ticket,
            "status": case.shown_status,
            "seconds": None if case.seconds is None else round(case.seconds, 1),
            "reason": shown(case.reason),
            "files": list(case.files),
        }
        for case in cases
    ]


def write(folder: Path, cases: Iterable[Case]) -> Path:
    """Write the table of a batch into its folder; semicolons separate the files of a case."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records(cases):
        record["files"] = "; ".join(record["files"])
        writer.writerow(["" if record[key] is None else guarded(record[key]) for key in COLUMNS])
    write_bytes(folder / NAME, text.getvalue().encode())
    return folder / NAME
