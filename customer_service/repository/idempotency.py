"""The idempotency keys of POST: the request that claimed each key, its customer, and the response to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bson import ObjectId
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from customer_service.digests import digest
from customer_service.errors import KeyReused, RequestInProgress
from customer_service.repository.database import Document, now_as_stored
from customer_service.repository.driver_errors import translates_errors

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.memberships import OrganizationScope

RETENTION_HOURS = 72
"""How long a key is stored: a program may repeat on Monday what failed on Friday evening."""

RETENTION_SECONDS = RETENTION_HOURS * 3600
TAKEOVER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's claim of a key: the right to create the customer `customer_id`.

    If `response` is set (body and ETag), it is the first request's, and nothing may be created.
    """

    id: str
    customer_id: ObjectId
    claimed_at: datetime
    taken_over: bool = False
    response: tuple[bytes, str] | None = None


class IdempotencyRepository:
    """The idempotency keys of one caller in one organization.

    A claim is stored before the customer, and holds the id that the customer will get. A request that takes over an
    abandoned claim inserts its customer with that same id. So the unique `_id` prevents a second customer, even if
    the first request is still running.
    """

    COLLECTION = "idempotencyKeys"
    INDEXES = (
        IndexModel([("claimedAt", ASCENDING)], expireAfterSeconds=RETENTION_SECONDS),
        IndexModel([("customerId", ASCENDING)]),
    )

    def __init__(self, database: Database[Document], scope: OrganizationScope, user_id: str) -> None:
        """Work on the keys of this caller in the organization."""
        self._collection = database[self.COLLECTION]
        self._scope = scope
        self._user_id = user_id

    @translates_errors
    def claim(self, key: str, body: bytes) -> Claim:
        """Claim the key for a request, or return the claim with the response of the first request.

        `body` is in canonical form. Raises KeyReused if the first request had another body, and RequestInProgress if
        the first request has no response yet and began less than TAKEOVER_SECONDS ago.
        """
        claim_id = digest(f"{self._scope}\0{self._user_id}\0{key}".encode()).hex()
        body_digest = digest(body).hex()
        while True:
            now = now_as_stored()
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
        """Store the response for RETENTION_SECONDS, unless another request with this claim has stored one."""
        unanswered = {**self._key(claim.id), "customerId": claim.customer_id, "body": None}
        self._collection.update_one(unanswered, {"$set": {"body": body, "etag": etag}})

    @translates_errors
    def release(self, claim: Claim) -> None:
        """Free the key after a refused request, unless another request took the claim over.

        A claim that this request took over becomes abandoned again and is not deleted: the request that made it may
        still be running, and create the customer.
        """
        own = {**self._key(claim.id), "claimedAt": claim.claimed_at, "body": None}
        if claim.taken_over:
            abandoned = claim.claimed_at - timedelta(seconds=TAKEOVER_SECONDS)
            self._collection.update_one(own, {"$set": {"claimedAt": abandoned}})
        else:
            self._collection.delete_one(own)

    def _take_over(self, claim_id: str, body_digest: str, now: datetime) -> Claim | None:
        """Return the earlier claim if it has a response or is abandoned, or None if the caller must try again."""
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
        if abs(age) < timedelta(seconds=TAKEOVER_SECONDS):  # the clock of another server may be ahead
            raise RequestInProgress
        taken = self._collection.update_one(unchanged, {"$set": {"claimedAt": now}}).matched_count
        return Claim(claim_id, earlier["customerId"], now, taken_over=True) if taken else None

    def _key(self, claim_id: str) -> Document:
        return {"_id": claim_id, "organizationId": self._scope}


@translates_errors
def remove_claims(database: Database[Document], scope: OrganizationScope, customer_id: ObjectId) -> None:
    """Delete the claims of any caller that created this customer, with their responses.

    A request with such a claim that is still running stores no response any more.
    """
    database[IdempotencyRepository.COLLECTION].delete_many({"customerId": customer_id, "organizationId": scope})
