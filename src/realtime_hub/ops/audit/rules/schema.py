"""Rules about the published tables themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from realtime_hub.ops.audit.facts import AuditFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.connection import listed, quoted

SENSITIVE: Final = re.compile(
    r"pass(word|wd)|secret|token|api_?key|ssn|iban|card|salary|birth|email|e_mail|phone|telefono"
    r"|(^|_)(raw|ip|dob|rfc|curp)(_|$)",
    re.IGNORECASE,
)
_WIDE_ROW: Final = 2_000
_WIDE_TOAST: Final = 8_000


def no_key(facts: AuditFacts) -> Iterator[Finding]:
    """Without a primary key clients get an error in place of rows."""
    for table in facts.published:
        if not table.has_key:
            yield Finding(
                "RH301",
                Level.ERROR,
                "No primary key",
                "clients get error 400 instead of its rows; UPDATE and DELETE may even fail",
                str(table.name),
                f"alter table {quoted(table.name)} add primary key (...);",
                {"identity": table.identity},
            )


def full_identity(facts: AuditFacts) -> Iterator[Finding]:
    """Identity full writes whole old rows to the WAL, and shows them to listeners."""
    for table in facts.published:
        if table.identity != "f":
            continue
        names = [column.name for column in table.columns if SENSITIVE.search(column.name)]
        width = sum(column.width for column in table.columns)
        if names or width >= _WIDE_ROW:
            why = f"they hold {listed(names)}" if names else f"they are {width} bytes wide"
            yield Finding(
                "RH302",
                Level.WARNING,
                "Whole old rows are published",
                f"replica identity full sends old rows with each update and delete; {why}",
                str(table.name),
                f"alter table {quoted(table.name)} replica identity default;",
                {"columns": names, "row_bytes": width},
            )


def wide_rows(facts: AuditFacts) -> Iterator[Finding]:
    """Large values travel with every insert, and with every update that changes them."""
    for table in facts.published:
        per_row = table.toast_bytes // table.rows if table.rows else 0
        if per_row >= _WIDE_TOAST:
            yield Finding(
                "RH303",
                Level.WARNING,
                "Rows with large values are published",
                "each insert carries them to every listener; over 1 MiB they are left out",
                str(table.name),
                f"-- name the columns that are needed:\n"
                f"alter publication ... set table {quoted(table.name)} (id, ...);",
                {"toast_bytes_per_row": per_row, "rows": table.rows},
            )
