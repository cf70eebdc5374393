"""Who listens: a verified role and the claims that policies read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified token's role and claims. Equal identities see the same.

    role: the PostgreSQL role to read as. claims: the token's payload as JSON text, exactly as
    `request.jwt.claims` gets it. subject: the `sub` claim, "" without one. expires_at: the `exp`
    claim in seconds since the Unix epoch; not part of equality, since a refreshed token is
    still the same person.
    """

    role: str
    claims: str = field(repr=False)
    subject: str = ""
    expires_at: float = field(default=float("inf"), compare=False)
