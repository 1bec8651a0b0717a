"""API keys: only their hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Optional

from mega_code.errors import MegaCodeError
from mega_code.gateway.api_error import ApiError
from mega_code.gateway.config import Clock, timestamp
from mega_code.gateway.database import Database

LOCAL_USER = "local"
USER_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,512}) *", re.IGNORECASE)


class Keys:
    """Who may call. A key is 256 random bits, so its plain SHA-256 gives nothing away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def issue(self, user_id: str) -> str:
        """A new key for a user, shown this once. Raises MegaCodeError `invalid_arguments` for no user name."""
        if not USER_ID.fullmatch(user_id):
            raise MegaCodeError(
                "invalid_arguments", f"{user_id[:80]!r} is no user name: letters, digits and inner dots, dashes and _."
            )
        return self._insert(user_id, "user", revoke=False)

    def client_key(self, previous: Optional[str] = None) -> str:
        """The key of the local user's own client: `previous` while it is good, else a new one in its place.

        A client that waits for a job thereby outlives a gateway that died and was started again.
        """
        query = "SELECT 1 FROM keys WHERE key_hash = ? AND purpose = 'client' AND revoked_at IS NULL"
        if previous and self.database.one(query, (_hash(previous),)):
            return previous
        return self._insert(LOCAL_USER, "client", revoke=True)

    def _insert(self, user_id: str, purpose: str, revoke: bool) -> str:
        key, now = f"mgw_{secrets.token_urlsafe(32)}", timestamp(self.clock())
        with self.database.transaction() as tx:
            if revoke:
                tx.execute("UPDATE keys SET revoked_at = ? WHERE purpose = ? AND revoked_at IS NULL", (now, purpose))
            tx.execute(
                "INSERT INTO keys (key_hash, user_id, purpose, created_at) VALUES (?, ?, ?, ?)",
                (_hash(key), user_id, purpose, now),
            )
        return key

    def user_of(self, authorization: Optional[str]) -> str:
        """The user of an Authorization header. Raises ApiError `unauthorized`."""
        user_id = self._user(authorization)
        if user_id is None:
            raise ApiError(
                "unauthorized", "A valid API key is needed.", headers={"WWW-Authenticate": 'Bearer realm="mega-code"'}
            )
        return user_id

    def admits(self, authorization: Optional[str]) -> bool:
        """Whether `user_of` would find somebody."""
        return self._user(authorization) is not None

    def _user(self, authorization: Optional[str]) -> Optional[str]:
        match = _BEARER.fullmatch(authorization or "")
        if match:
            wanted = _hash(match.group(1))
            row = self.database.one("SELECT * FROM keys WHERE key_hash = ? AND revoked_at IS NULL", (wanted,))
            if row and hmac.compare_digest(str(row["key_hash"]), wanted):
                return str(row["user_id"])
        return None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
