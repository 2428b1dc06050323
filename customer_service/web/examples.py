"""The examples of request bodies; each succeeds on the demo, however often it is sent, except that of a new customer.

The companies are those that the SAT publishes for tests.
"""

from __future__ import annotations

EXTERNAL_ID = "crm-1001"
"""The example of an external id: the demo stores a customer with it."""

USER_ID = "auth0-5f7c"
"""The example of a user's id: the demo has such a member."""


def _company(legal_name: str, tax_id: str, zip_code: str, **fields: object) -> dict[str, object]:
    """Return a customer with the fields that the tax authority requires, and these further ones."""
    return {
        "legalName": legal_name,
        "taxId": tax_id,
        "taxSystem": "601",
        "email": "facturas@example.com",
        "defaultInvoiceUse": "G03",
        "address": {"zip": zip_code},
        **fields,
    }


NEW_CUSTOMER = _company("ESCUELA KEMPER URGATE", "EKU9003173C9", "42501")
OWN_CUSTOMER = _company("KERNEL INDUSTIA JUGUETERA", "KIJ0906199R1", "28971")
"""The customer of EXTERNAL_ID."""

BATCH = {
    "customers": [
        _company("XENON INDUSTRIAL ARTICLES", "XIA190128J61", "76343", externalId="crm-1002"),
        _company("JIMENEZ ESTRADA SALAS A A", "JES900109Q90", "37161", externalId="crm-1003"),
    ]
}
PATCH = {"phone": "6474010102"}
IDS = {"ids": ["590ce6c56d04f840aa8438af"]}
ROLE = {"role": "viewer"}
RETENTION = {"lastInvoicedOn": "2025-01-26"}
SAT_ANSWER = {
    "status": "mismatched",
    "mismatches": ["/address/zip"],
    "checkedAt": "2025-01-26T10:00:00Z",
    "source": "my-pac",
}
