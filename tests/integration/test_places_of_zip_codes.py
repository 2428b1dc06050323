"""Every write in Mexico stores the place of its zip code; the same write again changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from tests.support import EXAMPLE, PLACE, Service, customers_url, findings, new_customer

if TYPE_CHECKING:
    from flask.testing import FlaskClient

BY_ID = customers_url("/by-external-id/crm-1")
HERMOSILLO = {"state": "Sonora", "municipality": "Hermosillo", "city": "Hermosillo"}


def body(**address: Any) -> dict[str, Any]:
    """Return a customer with this address and no more of it."""
    return new_customer(taxId="SAB010203AB1", externalId="crm-1") | {"address": address}


def place_in(customer: dict[str, Any]) -> dict[str, Any]:
    return {name: customer["address"][name] for name in PLACE}


def created(editor: FlaskClient, **address: Any) -> dict[str, Any]:
    response = editor.post(customers_url(), json=body(**address))
    assert response.status_code == 201, response.text
    customer: dict[str, Any] = response.get_json()
    return customer


@pytest.mark.parametrize("given", [{}, dict.fromkeys(PLACE), {"country": None}])
def test_created(editor: FlaskClient, given: dict[str, Any]) -> None:
    assert place_in(created(editor, zip="86500", **given)) == PLACE


def test_created_in_a_batch(editor: FlaskClient) -> None:
    path = customers_url("/batch-upsert")
    for status in ("created", "unchanged"):
        (result,) = editor.post(path, json={"customers": [body(zip="86500")]}).get_json()["results"]
        assert result["status"] == status
    assert place_in(editor.get(BY_ID).get_json()) == PLACE


def test_the_callers_own_names_stay(editor: FlaskClient) -> None:
    own = {"state": "Sonora", "municipality": "", "city": "x"}
    assert place_in(created(editor, zip="86500", **own)) == own


@pytest.mark.parametrize("address", [{"zip": "17000"}, {"zip": "86500", "country": "USA"}])
def test_a_zip_without_a_place(editor: FlaskClient, address: dict[str, Any]) -> None:
    foreign = {"taxSystem": "616", "defaultInvoiceUse": "S01", "phone": None}
    given = body(**address) | (foreign if "country" in address else {})
    assert place_in(editor.post(customers_url(), json=given).get_json()) == dict.fromkeys(PLACE)


@pytest.mark.parametrize("tax_id", ["XAXX010101000", "xexx010101000 "])
@pytest.mark.parametrize("address", [{}, {"zip": None, "country": "MEX"}])
def test_a_generic_rfc_needs_no_zip(editor: FlaskClient, tax_id: str, address: dict[str, Any]) -> None:
    given = body(**address) | {"taxId": tax_id, "taxSystem": "616", "defaultInvoiceUse": "S01"}
    for _ in range(2):
        customer = editor.put(BY_ID, json=given).get_json()
        assert customer["address"] == dict.fromkeys(EXAMPLE["address"]) | {"country": "MEX"}
    path = customers_url("/" + customer["id"])
    assert editor.get(f"{path}/tax-info-validation").get_json()["isValid"]
    named = {"taxId": "SAB010203AB1", "taxSystem": "601"}
    assert findings(editor.patch(path, json=named)) == [("/address/zip", "required")]
    assert place_in(editor.patch(path, json=named | {"address": {"zip": "86500"}}).get_json()) == PLACE
    assert findings(editor.patch(path, json={"address": {"zip": None}})) == [("/address/zip", "required")]


def test_a_put_of_the_same_body_finds_nothing_to_do(editor: FlaskClient) -> None:
    for given in (body(zip="86500"), body(zip="83000"), body(zip="83000", state="SON")):
        first = editor.put(BY_ID, json=given)
        again = editor.put(BY_ID, json=given)
        assert again.headers["ETag"] == first.headers["ETag"]


def test_a_put_of_what_was_answered_with_another_zip(editor: FlaskClient) -> None:
    customer = created(editor, zip="86500", city="La Chontalpa")
    echo = {name: customer[name] for name in body()}
    echo["address"] |= {"zip": "83000"}
    assert place_in(editor.put(BY_ID, json=echo).get_json()) == HERMOSILLO | {"city": "La Chontalpa"}


def test_the_same_batch_twice_changes_nothing_even_with_the_names_of_an_older_zip(editor: FlaskClient) -> None:
    created(editor, zip="86500")
    batch = {"customers": [body(zip="83000", **PLACE)]}
    for status in ("changed", "unchanged"):
        (result,) = editor.post(customers_url("/batch-upsert"), json=batch).get_json()["results"]
        assert result["status"] == status
    assert place_in(editor.get(BY_ID).get_json()) == PLACE


class TestPatch:
    def change(self, editor: FlaskClient, customer: dict[str, Any], **address: Any) -> dict[str, Any]:
        response = editor.patch(customers_url("/" + customer["id"]), json={"address": address})
        assert response.status_code == 200, response.text
        return place_in(response.get_json())

    def test_another_zip(self, editor: FlaskClient) -> None:
        customer = created(editor, zip="86500")
        assert self.change(editor, customer, zip="83000") == HERMOSILLO
        assert self.change(editor, customer, zip="01001") == {
            "state": "Ciudad de México",
            "municipality": None,
            "city": None,
        }
        assert self.change(editor, customer, zip="86500") == PLACE

    def test_another_zip_with_the_old_names(self, editor: FlaskClient) -> None:
        assert self.change(editor, created(editor, zip="86500"), zip="83000", **PLACE) == HERMOSILLO

    def test_another_zip_leaves_the_callers_own(self, editor: FlaskClient) -> None:
        customer = created(editor, zip="86500", state="TAB")
        assert self.change(editor, customer, zip="83000") == HERMOSILLO | {"state": "TAB"}

    def test_null_is_filled_again(self, editor: FlaskClient) -> None:
        customer = created(editor, zip="86500", state="x")
        assert self.change(editor, customer, state=None) == PLACE

    def test_what_was_stored_before_is_filled_when_something_changes(
        self, service: Service, editor: FlaskClient
    ) -> None:
        customer = created(editor, zip="86500")
        empty = {f"address.{name}": None for name in PLACE}
        service.database.customers.update_one({"_id": ObjectId(customer["id"])}, {"$set": empty})
        path = customers_url("/" + customer["id"])
        etag = editor.get(path).headers["ETag"]
        assert editor.patch(path, json={}).headers["ETag"] == etag
        assert place_in(editor.get(path).get_json()) == dict.fromkeys(PLACE)
        assert place_in(editor.patch(path, json={"phone": None}).get_json()) == PLACE
