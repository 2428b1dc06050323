"""Print what an invoice needs of its receiver: a customer that is looked up by our own id, and created if missing.

    python examples/invoicing.py < examples/order.json

`CUSTOMERS_URL`, `CUSTOMERS_TOKEN` and `CUSTOMERS_ORGANIZATION` name the service and the organization. An order has our
own id of the customer as `customerId`, and what to store as `customer` if there is no such customer yet.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TypedDict

from customer_service.client import CustomerClient, CustomerNotFound, DuplicateExternalId, ValidationFailed

if TYPE_CHECKING:
    from customer_service.client import Customer, CustomerInput


class Order(TypedDict):
    """What the shop knows of its customer."""

    customerId: str
    customer: CustomerInput


def receiver(client: CustomerClient, order: Order) -> Customer:
    """Return the customer of the order; raises ValidationFailed if it is new and cannot be stored."""
    external_id = order["customerId"]
    try:
        return client.get_by_external_id(external_id)
    except CustomerNotFound:
        pass
    try:
        return client.create({**order["customer"], "externalId": external_id})
    except DuplicateExternalId:  # another order of the same customer was faster
        return client.get_by_external_id(external_id)


def attributes(customer: Customer) -> dict[str, str | None]:
    """Return the attributes of the node `Receptor` of a CFDI 4.0."""
    return {
        "Rfc": customer.taxId,
        "Nombre": customer.legalName,
        "DomicilioFiscalReceptor": customer.address.zip,
        "RegimenFiscalReceptor": customer.taxSystem,
        "UsoCFDI": customer.defaultInvoiceUse,
    }


def main() -> int:
    """Read an order from standard input; return the exit code."""
    settings = [os.environ[f"CUSTOMERS_{name}"] for name in ("URL", "TOKEN", "ORGANIZATION")]
    with CustomerClient(*settings) as client:
        try:
            customer = receiver(client, json.load(sys.stdin))
        except ValidationFailed as refused:
            sys.stderr.writelines(f"{each.path}: {each.message}\n" for each in refused.errors)
            return 1
    sys.stdout.write(json.dumps(attributes(customer), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
