"""Reads the files of named statements: `-- name: x` begins one."""

import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _read(path: Path) -> dict[str, str]:
    parts = _NAME.split(path.read_text(encoding="utf-8"))
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


SQL: Final = _read(Path(__file__).with_name("queries.sql"))
EVENTS_SQL: Final = _read(Path(__file__).with_name("events.sql"))
HISTORY_SQL: Final = _read(Path(__file__).with_name("history.sql"))
FUNDING_SQL: Final = _read(Path(__file__).with_name("funding.sql"))
WEBHOOKS_SQL: Final = _read(Path(__file__).with_name("webhooks.sql"))
MANAGEMENT_SQL: Final = _read(Path(__file__).with_name("management.sql"))
DOCTOR_SQL: Final = _read(Path(__file__).with_name("doctor.sql"))
RETENTION_SQL: Final = _read(Path(__file__).with_name("retention.sql"))
IDENTITY_SQL: Final = _read(Path(__file__).with_name("identity.sql"))
INVARIANTS_SQL: Final = _read(Path(__file__).with_name("invariants.sql"))
REPLICAS_SQL: Final = _read(Path(__file__).with_name("replicas.sql"))
AUDIT_SQL: Final = _read(Path(__file__).with_name("audit.sql"))
PERSONS_SQL: Final = _read(Path(__file__).with_name("persons.sql"))
PRIVACY_SQL: Final = _read(Path(__file__).with_name("privacy.sql"))
