"""The idempotency keys of POST: which request claimed one, for which customer, and what it was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bson import ObjectId
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from customer_service.digests import digest
from customer_service.errors import KeyReused, RequestInProgress
from customer_service.repository.database import Document, as_stored, translates_errors

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.memberships import OrganizationScope

RETENTION_SECONDS = 24 * 3600
TAKEOVER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to create one customer under a key, or the answer of the request that did: its body and its ETag."""

    id: str
    customer_id: ObjectId
    claimed_at: datetime
    taken_over: bool = False
    response: tuple[bytes, str] | None = None


class IdempotencyRepository:
    """The keys of one caller in one organization.

    A claim is stored before the customer, and names the id that the customer will have. Whoever takes an abandoned
    claim over inserts under that same id, so that the unique `_id` keeps the customer single whatever happened to
    the first request, even if it goes on.
    """

    COLLECTION = "idempotencyKeys"
    INDEXES = (IndexModel([("claimedAt", ASCENDING)], expireAfterSeconds=RETENTION_SECONDS),)

    def __init__(self, database: Database[Document], scope: OrganizationScope, user_id: str) -> None:
        """Work on the keys that this caller used in the organization."""
        self._collection = database[self.COLLECTION]
        self._scope = scope
        self._user_id = user_id

    @translates_errors
    def claim(self, key: str, body: bytes) -> Claim:
        """Claim the key for a request with this body in its canonical form, or return what it was answered.

        Raises KeyReused for another body than the first, and RequestInProgress while the first is younger than 10
        seconds and not done.
        """
        claim_id = digest(f"{self._scope}\0{self._user_id}\0{key}".encode()).hex()
        body_digest = digest(body).hex()
        while True:
            now = as_stored(datetime.now(UTC))
            customer_id = ObjectId()
            claim = {"_id": claim_id, "organizationId": self._scope, "customerId": customer_id, "claimedAt": now}
            try:
                self._collection.insert_one({**claim, "digest": body_digest})
            except DuplicateKeyError:
                earlier = self._take_over(claim_id, body_digest, now)
                if earlier is not None:
                    return earlier
            else:
                return Claim(claim_id, customer_id, now)

    @translates_errors
    def store_response(self, claim: Claim, body: bytes, etag: str) -> None:
        """Keep the answer of the first request that made or found the claim's customer, for 24 hours."""
        unanswered = {**self._key(claim.id), "customerId": claim.customer_id, "body": None}
        self._collection.update_one(unanswered, {"$set": {"body": body, "etag": etag}})

    @translates_errors
    def release(self, claim: Claim) -> None:
        """Give the key back, unless somebody took the claim over: only a creation is remembered.

        A claim that was itself taken over stays, abandoned: the request that made it may go on, and create.
        """
        own = {**self._key(claim.id), "claimedAt": claim.claimed_at, "body": None}
        if claim.taken_over:
            abandoned = claim.claimed_at - timedelta(seconds=TAKEOVER_SECONDS)
            self._collection.update_one(own, {"$set": {"claimedAt": abandoned}})
        else:
            self._collection.delete_one(own)

    def _take_over(self, claim_id: str, body_digest: str, now: datetime) -> Claim | None:
        """Return the earlier claim, answered or abandoned, or None where it is gone by now."""
        earlier = self._collection.find_one(self._key(claim_id))
        if earlier is None:
            return None
        age = now - earlier["claimedAt"]
        unchanged = {**self._key(claim_id), "claimedAt": earlier["claimedAt"]}
        if age > timedelta(seconds=RETENTION_SECONDS):
            self._collection.delete_one(unchanged)
            return None
        if earlier["digest"] != body_digest:
            raise KeyReused
        if "body" in earlier:
            response = (bytes(earlier["body"]), earlier["etag"])
            return Claim(claim_id, earlier["customerId"], earlier["claimedAt"], response=response)
        if age < timedelta(seconds=TAKEOVER_SECONDS):
            raise RequestInProgress
        taken = self._collection.update_one(unchanged, {"$set": {"claimedAt": now}}).matched_count
        return Claim(claim_id, earlier["customerId"], now, taken_over=True) if taken else None

    def _key(self, claim_id: str) -> Document:
        return {"_id": claim_id, "organizationId": self._scope}
