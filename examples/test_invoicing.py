"""The consumer against the real service: the fixture `customer_service` is all that it takes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from customer_service.client import DuplicateTaxId
from examples.invoicing import attributes, main, receiver

if TYPE_CHECKING:
    from customer_service.testing import CustomerService
    from examples.invoicing import Order

ORDER: Order = json.loads(Path(__file__).with_name("order.json").read_text())


def test_a_known_customer_is_found(customer_service: CustomerService) -> None:
    known = customer_service.customer(externalId="shop/4711")
    assert receiver(customer_service.client("viewer"), ORDER) == known


def test_a_new_customer_is_stored_once(customer_service: CustomerService) -> None:
    client = customer_service.client()
    assert receiver(client, ORDER) == receiver(client, ORDER)
    assert [customer.externalId for customer in client.search()] == ["shop/4711"]


def test_another_order_may_be_faster(customer_service: CustomerService, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = customer_service.client(), customer_service.client()
    create = slow.create

    def late(customer: object) -> object:
        receiver(fast, ORDER)
        return create(customer)  # type: ignore[arg-type]

    monkeypatch.setattr(slow, "create", late)
    assert receiver(slow, ORDER).externalId == "shop/4711"


def test_a_tax_id_that_another_customer_has_is_for_a_person_to_solve(customer_service: CustomerService) -> None:
    customer_service.customer(taxId="IVD920810GU2")
    with pytest.raises(DuplicateTaxId):
        receiver(customer_service.client(), ORDER)


def test_what_an_invoice_needs(customer_service: CustomerService) -> None:
    customer = customer_service.customer(legalName="Sabre", taxId="SAB010203AB1")
    assert attributes(customer) == {
        "Rfc": "SAB010203AB1",
        "Nombre": "Sabre",
        "DomicilioFiscalReceptor": "86500",
        "RegimenFiscalReceptor": "601",
        "UsoCFDI": "G01",
    }


def run(service: CustomerService, monkeypatch: pytest.MonkeyPatch, order: object) -> int:
    monkeypatch.setenv("CUSTOMERS_URL", service.url)
    monkeypatch.setenv("CUSTOMERS_TOKEN", service.token(service.member()))
    monkeypatch.setenv("CUSTOMERS_ORGANIZATION", service.organization_id)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(order)))
    return main()


def test_the_command(
    customer_service: CustomerService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(customer_service, monkeypatch, ORDER) == 0
    assert json.loads(capsys.readouterr().out)["Rfc"] == "IVD920810GU2"


def test_the_command_says_what_is_wrong(
    customer_service: CustomerService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {**ORDER, "customer": {**ORDER["customer"], "taxId": "SAB"}}
    assert run(customer_service, monkeypatch, wrong) == 1
    assert capsys.readouterr().err.startswith("/taxId: ")
