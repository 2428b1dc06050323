"""Check a stored customer, or one in the request, by the tax authority's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from tests.support import (
    CUSTOMER_ID,
    FIRST_EXAMPLE,
    MISSING_CUSTOMER_ID,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    customers_url,
    new_customer,
    problem,
    stored,
    url,
)

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

PATH = customers_url("/tax-info-validation")
OF_THE_EXAMPLE = [("/legalName", "not-upper-case"), ("/taxId", "check-digit"), ("/address/zip", "zip-outside-state")]


def judge(service: Service, body: object) -> TestResponse:
    return service.client.post(PATH, json=body, headers=bearer())


def validity_and_findings(response: TestResponse) -> tuple[bool, list[tuple[str, str]], list[tuple[str, str]]]:
    """Return isValid, and (path, code) of the errors and of the warnings."""
    assert response.status_code == 200, response.text
    answer = response.get_json()
    assert set(answer) == {"isValid", "errors", "warnings"}
    findings = [*answer["errors"], *answer["warnings"]]
    assert all(set(each) - {"suggestion"} == {"path", "code", "message"} and each["message"] for each in findings)
    assert {each["path"] for each in findings if "suggestion" in each} <= {"/legalName"}
    assert all(each.get("suggestion") != "" for each in findings)
    errors, warnings = ([(each["path"], each["code"]) for each in answer[name]] for name in ("errors", "warnings"))
    return answer["isValid"], errors, warnings


class TestOrder:
    """401, then 403, then 404 or the body's 415, 413 and 400."""

    @pytest.mark.parametrize("customer", [CUSTOMER_ID, MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x", "%00"])
    def test_stored(self, service: Service, customer: str) -> None:
        path = url(customer=customer) + "/tax-info-validation"
        problem(service.client.get(path), 401, "authentication-required")
        problem(service.client.get(path, headers={"Authorization": "Bearer x"}), 401, "invalid-token")
        problem(service.client.get(path, headers=bearer(STRANGER)), 403, "not-a-member")
        foreign = url(OTHER_ORGANIZATION, customer) + "/tax-info-validation"
        problem(service.client.get(foreign, headers=bearer()), 403, "not-a-member")
        if customer != CUSTOMER_ID:
            problem(service.client.get(path, headers=bearer()), 404, "customer-not-found")

    @pytest.mark.parametrize("body", [b"{}", b"{", b" " * 2_000_000], ids=["valid", "cut", "large"])
    def test_not_stored(self, service: Service, body: bytes) -> None:
        request: dict[str, Any] = {"data": body, "content_type": "text/plain"}
        problem(service.client.post(PATH, **request), 401, "authentication-required")
        problem(service.client.post(PATH, headers={"Authorization": "Bearer x"}, **request), 401, "invalid-token")
        problem(service.client.post(PATH, headers=bearer(STRANGER), **request), 403, "not-a-member")
        problem(service.client.post(PATH, headers=bearer(), **request), 415, "unsupported-media-type")
        status = service.client.post(PATH, data=body, content_type="application/json", headers=bearer()).status_code
        assert status == {b"{}": 200, b"{": 400}.get(body, 413)


class TestStored:
    """A viewer may ask of a customer of the organization."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_the_example(self, service: Service, base: str) -> None:
        response = service.client.get(url(base=base) + "/tax-info-validation", headers=bearer())
        assert validity_and_findings(response) == (True, [], OF_THE_EXAMPLE)
        assert response.headers["Cache-Control"] == "private, no-cache"

    def test_what_another_program_stored(self, service: Service) -> None:
        change = {"taxId": "x", "taxSystem": "999", "address.zip": None, "email": "nowhere", "internalNote": 1}
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": change})
        before = stored(service)
        is_valid, errors, warnings = validity_and_findings(
            service.client.get(url() + "/tax-info-validation", headers=bearer())
        )
        assert not is_valid
        assert errors == [
            *(("/taxId", "invalid-rfc"), ("/taxSystem", "unknown-tax-system")),
            *(("/email", "invalid-email"), ("/address/zip", "required")),
        ]
        assert warnings == [("/legalName", "not-upper-case")]
        assert stored(service) == before


class TestNotStored:
    """The same judgement of a body, in a 200 for any body, and nothing is kept."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_the_examples(self, service: Service, base: str) -> None:
        before, path = stored(service), customers_url("/tax-info-validation", base=base)
        good_check_digit = [each for each in OF_THE_EXAMPLE if each[1] != "check-digit"]
        for example, warnings in ((new_customer(), OF_THE_EXAMPLE), (FIRST_EXAMPLE, good_check_digit)):
            assert validity_and_findings(service.client.post(path, json=example, headers=bearer())) == (
                True,
                [],
                warnings,
            )
        assert stored(service) == before

    def test_no_warning(self, service: Service) -> None:
        good = new_customer(legalName="UNIVERSIDAD ROBOTICA ESPAÑOLA", taxId="URE180429TM6")
        good["address"] |= {"zip": "83000", "municipality": "Hermosillo"}
        assert validity_and_findings(judge(service, good)) == (True, [], [])

    def test_a_corporate_suffix(self, service: Service) -> None:
        _, _, warnings = validity_and_findings(judge(service, new_customer(legalName="DUNDER MIFFLIN S.A. de C.V.")))
        assert warnings[:2] == [("/legalName", "corporate-suffix"), ("/legalName", "not-upper-case")]

    def test_a_suggestion(self, service: Service) -> None:
        answer = judge(service, new_customer(legalName="Peña  y Cía., S.A. de C.V.")).get_json()
        assert [each.get("suggestion") for each in answer["warnings"][:3]] == ["PEÑA Y CÍA."] * 3
        assert "suggestion" not in answer["warnings"][3]
        assert "suggestion" not in judge(service, new_customer(legalName="Sas")).get_json()["warnings"][0]

    def test_it_normalizes_first(self, service: Service) -> None:
        body = new_customer(taxId=" dum901231ab3 ", address={"country": None})
        assert validity_and_findings(judge(service, body)) == (True, [], OF_THE_EXAMPLE)

    @pytest.mark.parametrize("body", [[], "x", 7, True, [new_customer()]])
    def test_no_object(self, service: Service, body: object) -> None:
        assert validity_and_findings(judge(service, body)) == (False, [("", "invalid-type")], [])

    def test_nothing_given(self, service: Service) -> None:
        names = ["legalName", "taxId", "taxSystem", "email", "defaultInvoiceUse", "address"]
        is_valid, errors, warnings = validity_and_findings(judge(service, {}))
        assert (is_valid, errors, warnings) == (False, [(f"/{name}", "required") for name in names], [])

    def test_wrong_shapes_and_wrong_values(self, service: Service) -> None:
        body = new_customer(email={"$gt": ""}, defaultInvoiceUse="D01", metadata={"$a": 1}, address={"zip": 86500})
        is_valid, errors, warnings = validity_and_findings(judge(service, body | {"id": CUSTOMER_ID}))
        assert not is_valid
        assert set(errors) == {
            *(("/email", "invalid-type"), ("/address/zip", "invalid-type"), ("/id", "unknown-field")),
            *(("/metadata/$a", "invalid-character"), ("/defaultInvoiceUse", "invoice-use-not-allowed")),
        }
        assert warnings == OF_THE_EXAMPLE[:2]

    def test_uniqueness_is_no_matter_of_the_tax_authority(self, service: Service) -> None:
        service.database.customers.update_one(
            {"_id": ObjectId(CUSTOMER_ID)}, {"$set": {"unique.taxId": "DUM901231AB3"}}
        )
        assert validity_and_findings(judge(service, new_customer()))[0]
