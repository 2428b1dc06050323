"""POST creates a customer: who may, what is stored, and what is refused without storing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    FIRST_EXAMPLE,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    PLACE,
    READ_ONLY_FIELDS,
    STRANGER,
    Service,
    bearer,
    client_of,
    customers_url,
    findings,
    new_customer,
    problem,
    stored,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

CUSTOMERS = customers_url()
GENERIC = {"taxId": "XAXX010101000", "taxSystem": "616", "defaultInvoiceUse": "S01"}
FOREIGN = {"taxId": "98-7654321", "taxSystem": "616", "defaultInvoiceUse": "S01", "phone": "+12015550123"}
METADATA_VALUES: tuple[object, ...] = (None, 1, True, [], {"a": "b"})
LINE_FEED, DELETE = "\n", "\x7f"


def create(client: FlaskClient, **changes: Any) -> TestResponse:
    return client.post(CUSTOMERS, json=new_customer(**changes))


class TestCallers:
    """A caller who may not write is refused before the request is read."""

    BODIES: tuple[dict[str, Any], ...] = (
        {"json": new_customer()},
        {"data": b"\xff{", "content_type": "text/plain"},
        {"json": {"$set": 1}},
        {"data": b" " * 2_000_000, "content_type": "application/json"},
    )

    @pytest.mark.parametrize("body", BODIES, ids=["valid", "text", "operator", "large"])
    def test_refused(self, service: Service, body: dict[str, Any]) -> None:
        before, post = stored(service), service.client.post
        anonymous = post(CUSTOMERS, **body)
        assert problem(anonymous, 401, "authentication-required")["detail"] == "Authentication required."
        assert anonymous.headers["WWW-Authenticate"] == "Bearer"
        bad = post(CUSTOMERS, headers={"Authorization": "Bearer x.y.z"}, **body)
        assert problem(bad, 401, "invalid-token")["detail"] == "Authentication required."
        assert bad.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        stranger = post(CUSTOMERS, headers=bearer(STRANGER), **body)
        assert problem(stranger, 403, "not-a-member")["detail"] == "User is not a member of this organization."
        assert "WWW-Authenticate" not in stranger.headers
        viewer = post(CUSTOMERS, headers=bearer(), **body)
        assert problem(viewer, 403, "insufficient-role")["detail"] == "The member's role does not allow this."
        assert viewer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        assert stored(service) == before

    def test_an_editor_of_one_is_a_stranger_to_another(self, service: Service, editor: FlaskClient) -> None:
        before = stored(service)
        response = editor.post(customers_url(organization=OTHER_ORGANIZATION), json=new_customer())
        problem(response, 403, "not-a-member")
        assert stored(service) == before

    def test_an_admin_writes(self, admin: FlaskClient) -> None:
        assert create(admin).status_code == 201


class TestCreated:
    """What is stored, and how it is returned."""

    @pytest.mark.parametrize("base", ["", "/api"])
    @pytest.mark.parametrize("example", [FIRST_EXAMPLE, new_customer()], ids=["first", "second"])
    def test_the_examples_of_the_page(
        self, service: Service, editor: FlaskClient, example: dict[str, Any], base: str
    ) -> None:
        response = editor.post(customers_url(base=base), json=example)
        assert response.status_code == 201
        assert response.content_type == "application/json"
        created = response.get_json()
        assert response.headers["Location"] == customers_url("/" + created["id"], base=base)
        assert {name: created[name] for name in created if name not in READ_ONLY_FIELDS} == example
        assert created["organizationId"] == ORGANIZATION
        assert created["createdAt"] == created["updatedAt"]
        got = service.client.get(response.headers["Location"], headers=bearer())
        assert got.get_json() == created
        assert got.headers["ETag"] == response.headers["ETag"]
        assert list(created) == list(EXAMPLE)
        assert set(created["address"]) == set(EXAMPLE["address"])

    def test_what_is_stored(self, service: Service, editor: FlaskClient) -> None:
        document = service.database.customers.find_one({"_id": ObjectId(create(editor).get_json()["id"])})
        assert document is not None
        assert document["organizationId"] == ORGANIZATION
        assert document["version"] == 1
        assert {"deletedAt", "externalId", "metadata"}.isdisjoint(document)

    def test_canonical_form(self, editor: FlaskClient) -> None:
        address = {"country": "mex", "street": None, "city": ""}
        created = create(editor, legalName="\u2003 Peña ", taxId=" ñum901231ab3 ", address=address).get_json()
        assert (created["legalName"], created["taxId"]) == ("Peña", "ÑUM901231AB3")
        assert created["address"] == EXAMPLE["address"] | {"country": "MEX", "street": None, "city": ""}  # type: ignore[operator]

    @pytest.mark.parametrize("address", [{"zip": "86500"}, dict.fromkeys(EXAMPLE["address"]) | {"zip": "86500"}])
    def test_what_may_be_absent_or_null(self, editor: FlaskClient, address: dict[str, Any]) -> None:
        body = new_customer() | {"address": address, "externalId": None, "metadata": None}
        del body["phone"]
        created = editor.post(CUSTOMERS, json=body).get_json()
        assert created["phone"] is None
        assert created["address"] == dict.fromkeys(EXAMPLE["address"]) | PLACE | {"zip": "86500", "country": "MEX"}
        assert set(created) == set(EXAMPLE)

    def test_the_callers_own_fields(self, editor: FlaskClient) -> None:
        metadata = {"k" * 40: "v" * 500, "a/b~c": "", **{str(number): "\x00🦙" for number in range(48)}}
        created = create(editor, externalId="x" * 255, metadata=metadata).get_json()
        assert created["externalId"] == "x" * 255
        assert created["metadata"] == metadata
        assert "metadata" not in create(editor, **GENERIC, metadata={}).get_json()

    def test_a_customer_abroad(self, editor: FlaskClient) -> None:
        address = dict.fromkeys(EXAMPLE["address"]) | {"country": "usa"}
        created = editor.post(CUSTOMERS, json=new_customer(**FOREIGN) | {"address": address}).get_json()
        assert created["taxId"] == "98-7654321"
        assert created["address"] == address | {"country": "USA"}
        lower = create(editor, **FOREIGN | {"taxId": "ab-1"}, address={"country": "USA"}).get_json()
        assert lower["taxId"] == "AB-1"


class TestFindings:
    """Each 422 names what is wrong by its JSON Pointer, all at once, and nothing is stored."""

    @pytest.fixture
    def kind(self) -> str:
        """The kind of database that every test runs on: none changes the results."""
        return "mongomock"

    @pytest.mark.parametrize("name", ["legalName", "taxId", "taxSystem", "email", "defaultInvoiceUse", "address"])
    def test_required(self, service: Service, editor: FlaskClient, name: str) -> None:
        before, body = stored(service), new_customer()
        absent = {key: value for key, value in body.items() if key != name}
        assert findings(editor.post(CUSTOMERS, json=absent)) == [(f"/{name}", "required")]
        assert findings(editor.post(CUSTOMERS, json=body | {name: None})) == [(f"/{name}", "required")]
        values: tuple[Any, ...] = (1, 2**63, 2**64, 1.5, True, [], ["x"], {"$gt": ""}, {"$regex": ".*"})
        for value in values:
            response = editor.post(CUSTOMERS, json=body | {name: value})
            inside = name == "address" and isinstance(value, dict)
            wrong = (f"/address/{next(iter(value))}", "unknown-field") if inside else (f"/{name}", "invalid-type")
            assert wrong in findings(response), value
        assert stored(service) == before

    @pytest.mark.parametrize("value", [1, 2**63, False, [], {"$ne": None}])
    def test_types_of_what_is_optional(self, editor: FlaskClient, value: object) -> None:
        assert findings(create(editor, phone=value, externalId=value)) == [
            ("/phone", "invalid-type"),
            ("/externalId", "invalid-type"),
        ]
        address = dict.fromkeys(EXAMPLE["address"], value)
        assert findings(create(editor, address=address)) == [(f"/address/{name}", "invalid-type") for name in address]

    @pytest.mark.parametrize(
        "name",
        [
            *("id", "organizationId", "_id", "createdAt", "updatedAt", "version", "deletedAt", "search", "unique"),
            *("$set", "$where", "a.b", "address.zip", "", "__proto__", "_schema", "LegalName", "ñ", "\x00"),
        ],
    )
    @pytest.mark.parametrize("value", [None, "x", {"$gt": ""}])
    def test_unknown_fields(self, service: Service, editor: FlaskClient, name: str, value: object) -> None:
        before = stored(service)
        assert findings(editor.post(CUSTOMERS, json=new_customer() | {name: value})) == [(f"/{name}", "unknown-field")]
        assert findings(create(editor, address={name: value})) == [(f"/address/{name}", "unknown-field")]
        assert stored(service) == before

    @pytest.mark.parametrize("count", [9000, 12_000, 40_000])
    def test_many_unknown_fields(self, editor: FlaskClient, count: int) -> None:
        """They are not named one by one beyond ten thousand members of an object."""
        unknown = dict.fromkeys(map(str, range(count)), 1)
        for body, path in ((new_customer() | unknown, ""), (new_customer() | {"address": unknown}, "/address")):
            found = findings(editor.post(CUSTOMERS, json=body))
            assert (len(found) < 10, (path, "too-many") in found) == (count > 10_000, count > 10_000)

    def test_too_many_values(self, service: Service, editor: FlaskClient) -> None:
        before = stored(service)
        values: list[object] = [[0] * 60_000, dict.fromkeys(map(str, range(60_000)), 0), [[]] * 60_000]
        for value in values:
            body = new_customer() | {"x": value}
            assert findings(editor.post(CUSTOMERS, json=body)) == [("", "too-many")]
        assert stored(service) == before

    def test_a_pointer_is_escaped(self, editor: FlaskClient) -> None:
        found = findings(editor.post(CUSTOMERS, json=new_customer() | {"a/b~c": 1}))
        assert found == [("/a~1b~0c", "unknown-field")]

    @pytest.mark.parametrize(
        ("changes", "path", "code"),
        [
            ({"legalName": ""}, "/legalName", "invalid-length"),
            ({"legalName": " \t "}, "/legalName", "invalid-length"),
            ({"legalName": "x" * 301}, "/legalName", "invalid-length"),
            ({"legalName": "a|b"}, "/legalName", "invalid-character"),
            ({"legalName": "a\x00b"}, "/legalName", "invalid-character"),
            *(
                ({"taxId": tax_id}, "/taxId", "invalid-rfc")
                for tax_id in (
                    "",
                    "DUM-901231-AB3",
                    "DUM901331AB3",
                    "DUM901231ABB",
                    "DU901231AB3",
                    "DUM901231AB3" + "\n3",
                )
            ),
            ({"taxSystem": "999"}, "/taxSystem", "unknown-tax-system"),
            ({"taxSystem": "605"}, "/taxSystem", "tax-system-not-allowed"),
            ({"defaultInvoiceUse": "X99"}, "/defaultInvoiceUse", "unknown-invoice-use"),
            ({"defaultInvoiceUse": "D01"}, "/defaultInvoiceUse", "invoice-use-not-allowed"),
            *(
                ({"email": email}, "/email", "invalid-email")
                for email in ("", "x", "a@b@c.mx", "a@b.mx\nx", "A <a@b.mx>", "noreply@test")
            ),
            *(({"phone": phone}, "/phone", "invalid-phone") for phone in ("", "123", "call me", "647401010\x00")),
            ({"phone": "1" * 256}, "/phone", "invalid-length"),
            ({"address": {"zip": None}}, "/address/zip", "required"),
            *(({"address": {"zip": text}}, "/address/zip", "invalid-zip") for text in ("", "8650", "865000", "٨٦٥٠٠")),
            ({"address": {"country": "MX"}}, "/address/country", "unknown-country"),
            ({"address": {"country": ""}}, "/address/country", "unknown-country"),
            ({"address": {"street": "x" * 256}}, "/address/street", "invalid-length"),
            ({"address": []}, "/address", "invalid-type"),
            ({"address": "x"}, "/address", "invalid-type"),
            ({"externalId": ""}, "/externalId", "invalid-length"),
            ({"externalId": "x" * 256}, "/externalId", "invalid-length"),
            *(({"externalId": f"x{each}"}, "/externalId", "invalid-character") for each in (LINE_FEED, DELETE, "\x85")),
            ({"metadata": []}, "/metadata", "invalid-type"),
            ({"metadata": {str(number): "" for number in range(51)}}, "/metadata", "too-many"),
            ({"metadata": {"k" * 41: ""}}, "/metadata/" + "k" * 41, "invalid-length"),
            ({"metadata": {"k": "v" * 501}}, "/metadata/k", "invalid-length"),
            ({"metadata": {"": "v"}}, "/metadata/", "invalid-length"),
            *(({"metadata": {"k": value}}, "/metadata/k", "invalid-type") for value in METADATA_VALUES),
            *(({"metadata": {key: "v"}}, f"/metadata/{key}", "invalid-character") for key in ("$k", "a.b", "\x00")),
            ({**FOREIGN, "taxId": "", "address": {"country": "USA"}}, "/taxId", "invalid-length"),
            ({**FOREIGN, "taxId": "x" * 41, "address": {"country": "USA"}}, "/taxId", "invalid-length"),
            ({**FOREIGN, "taxSystem": "601", "address": {"country": "USA"}}, "/taxSystem", "tax-system-not-allowed"),
        ],
    )
    def test_rules(self, service: Service, editor: FlaskClient, changes: dict[str, Any], path: str, code: str) -> None:
        before = stored(service)
        assert findings(create(editor, **changes)) == [(path, code)]
        assert stored(service) == before

    def test_several_at_once(self, editor: FlaskClient) -> None:
        changes = {"email": "x", "phone": 1, "id": "y", "metadata": {"$a": "b", "c": 1}, "address": {"zip": "1"}}
        assert set(findings(create(editor, **changes))) == {
            ("/email", "invalid-email"),
            ("/phone", "invalid-type"),
            ("/id", "unknown-field"),
            ("/metadata/$a", "invalid-character"),
            ("/metadata/c", "invalid-type"),
            ("/address/zip", "invalid-zip"),
        }

    def test_a_finding_says_what_to_do_and_not_what_was_sent(self, editor: FlaskClient) -> None:
        response = create(editor, email="secret", taxId="secret", phone="secret")
        assert all(each["message"] for each in response.get_json()["errors"])
        assert "secret" not in response.text


class TestDuplicates:
    """A key belongs to one living customer of an organization."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_tax_id(self, service: Service, editor: FlaskClient, base: str) -> None:
        first = create(editor)
        before = stored(service)
        body = new_customer(taxId="dum901231ab3 ", legalName="Another")
        conflict = problem(editor.post(customers_url(base=base), json=body), 409, "duplicate-tax-id")
        assert conflict["existing"] == customers_url("/" + first.get_json()["id"], base=base)
        assert editor.get(conflict["existing"]).get_json() == first.get_json()
        assert stored(service) == before

    def test_external_id(self, service: Service, editor: FlaskClient) -> None:
        first = create(editor, externalId="a/b")
        before = stored(service)
        response = create(editor, taxId="ABC101010111", externalId="a/b")
        assert editor.get(problem(response, 409, "duplicate-external-id")["existing"]).json == first.get_json()
        assert create(editor, taxId="ABC101010111", externalId="A/B").status_code == 201
        assert len(stored(service)) == len(before) + 1

    def test_an_email_is_trimmed(self, editor: FlaskClient) -> None:
        assert create(editor, email=" a@b.mx\n").get_json()["email"] == "a@b.mx"

    def test_a_tax_id_is_unique_in_its_country(self, editor: FlaskClient) -> None:
        """The number 123456789 is one company of the United States, and another of Canada."""
        ids = []
        for country in ("USA", "CAN"):
            company = FOREIGN | {"taxId": "123456789", "address": {"country": country}}
            created = create(editor, **company)
            assert created.status_code == 201
            ids.append(created.get_json()["id"])
            for tax_id in ("123456789", " 123456789", "12345\u200b6789"):
                refused = problem(create(editor, **company | {"taxId": tax_id}), 409, "duplicate-tax-id")
                assert refused["existing"].endswith(ids[-1])
        assert len(set(ids)) == 2

    def test_an_rfc_is_no_tax_id_of_another_country(self, editor: FlaskClient) -> None:
        statuses = [
            create(editor).status_code,
            create(editor, **FOREIGN | {"taxId": "DUM901231AB3"}, address={"country": "USA"}).status_code,
        ]
        assert statuses == [201, 201]

    @pytest.mark.parametrize("tax_id", ["XAXX010101000", "XEXX010101000"])
    @pytest.mark.parametrize("country", ["MEX", "USA", "ESP"])
    def test_generics_are_many_customers_everywhere(self, editor: FlaskClient, tax_id: str, country: str) -> None:
        generic = GENERIC | {"taxId": tax_id, "phone": None, "address": {"country": country}}
        assert [create(editor, **generic).status_code for _ in range(2)] == [201, 201]

    def test_who_moves_takes_the_tax_id_along(self, editor: FlaskClient) -> None:
        american, canadian = (
            create(editor, **FOREIGN | {"taxId": "123456789", "address": {"country": country}}).get_json()["id"]
            for country in ("USA", "CAN")
        )
        moved = {"address": {"country": "CAN"}}
        conflict = problem(editor.patch(customers_url(f"/{american}"), json=moved), 409, "duplicate-tax-id")
        assert conflict["existing"].endswith(canadian)
        editor.delete(customers_url(f"/{canadian}"))
        assert editor.patch(customers_url(f"/{american}"), json=moved).status_code == 200
        problem(editor.post(customers_url(f"/{canadian}/restore")), 409, "duplicate-tax-id")

    def test_another_organizations_are_not_in_the_way(self, service: Service, editor: FlaskClient) -> None:
        key = {"userId": "editor-of-one", "organizationId": OTHER_ORGANIZATION, "role": "editor"}
        service.database.memberships.insert_one(key)
        body = new_customer(externalId="x")
        other = client_of(service, "editor-of-one").post(customers_url(organization=OTHER_ORGANIZATION), json=body)
        assert [other.status_code, editor.post(CUSTOMERS, json=body).status_code] == [201, 201]
        assert other.get_json()["organizationId"] == OTHER_ORGANIZATION
        assert CUSTOMER_ID not in other.headers["Location"]
