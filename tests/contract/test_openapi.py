"""The OpenAPI document describes everything that the service does, and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import mongomock
import pytest
from bson import ObjectId
from flask import abort

from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.errors import CustomerServiceError, Duplicate, SettingsError
from customer_service.repository import ChangePosition, backfill_search_fields
from customer_service.routes.changes import cursor_of
from customer_service.web import openapi
from customer_service.web.problems import ALL_PROBLEMS, PROBLEMS
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MEMBER,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    Service,
    bearer,
    serve,
    url,
)
from tests.support.openapi import operations_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

UNDOCUMENTED = {"/", "/openapi.json", "/docs", "/docs/errors", "/docs/<name>"}
PUBLIC = {"/livez", "/readyz", "/metrics"} | UNDOCUMENTED
CUSTOMER_PATH = "/organizations/{organizationId}/customers/{customerId}"


@pytest.fixture
def service() -> Service:
    return serve(mongomock.MongoClient().customer_service)


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    answer: dict[str, Any] = service.client.get("/openapi.json").get_json()
    return answer


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - its import takes seconds

    OpenAPIV31SpecValidator(document).validate()


def test_both_documented_base_paths_are_servers(document: dict[str, Any]) -> None:
    assert [server["url"] for server in document["servers"]] == ["/", "/api"]


def test_every_rule_is_documented_and_every_path_is_served(service: Service, document: dict[str, Any]) -> None:
    served = {
        (openapi.path_template(rule.rule), method.lower())
        for rule in service.app.url_map.iter_rules()
        if rule.rule not in UNDOCUMENTED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    documented = {(path, method) for path, item in document["paths"].items() for method in item}
    assert documented == served


def test_every_rule_is_guarded_but_for_the_public_ones(service: Service) -> None:
    for rule in service.app.url_map.iter_rules():
        path = rule.rule.replace("<", "").replace(">", "")
        for method in rule.methods or set():
            status = service.client.open(path, method=method).status_code
            assert (status != 401) == (rule.rule in PUBLIC), (rule.rule, method, status)


def test_operations_say_what_they_are(document: dict[str, Any]) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_only_the_public_operations_need_no_token(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation.get("security", document["security"]) == ([] if path in PUBLIC else [{"bearerToken": []}])


def test_the_read_is_the_specifications(document: dict[str, Any]) -> None:
    assert document["paths"][CUSTOMER_PATH]["get"]["operationId"] == "get_customer"
    operation = operations_of(document)["get_customer"]
    assert operation["summary"] == "Get a customer by ID"
    parameters = [
        (parameter["name"], parameter["in"], "required" in parameter) for parameter in operation["parameters"]
    ]
    assert parameters == [
        ("organizationId", "path", True),
        ("customerId", "path", True),
        ("asOf", "query", False),
        ("If-None-Match", "header", False),
    ]


BODY = {
    name: value for name, value in EXAMPLE.items() if name not in {"id", "organizationId", "createdAt", "updatedAt"}
}
CUSTOMERS = f"/organizations/{ORGANIZATION}/customers"
MEMBERS = f"/organizations/{ORGANIZATION}/members"
STALE = {"If-Match": '"stale"'}
SAT_ANSWER = {
    "status": "mismatched",
    "mismatches": ["/address/zip"],
    "checkedAt": "2025-01-26T10:00:00Z",
    "source": "my-pac",
}
RETENTION = {"lastInvoicedOn": "2025-01-26", "hold": True, "reason": "audit"}
ERASED_CUSTOMER_ID = "590ce6c56d04f840aa8438b1"
Exchange = tuple[str, "TestResponse"]

# operation: (method, path, body) of a request that is followed, and those that bring about its other answers
FOLLOWED: dict[str, tuple[str, str, Any]] = {
    "get_liveness": ("GET", "/livez", None),
    "get_readiness": ("GET", "/readyz", None),
    "get_metrics": ("GET", "/metrics", None),
    "list_tax_systems": ("GET", "/catalogs/tax-systems", None),
    "list_invoice_uses": ("GET", "/catalogs/invoice-uses?taxSystem=601", None),
    "list_countries": ("GET", "/catalogs/countries", None),
    "list_states": ("GET", "/catalogs/states", None),
    "get_zip_code": ("GET", "/catalogs/zip-codes/86500", None),
    "list_customers": ("GET", f"{CUSTOMERS}?limit=1&include=total", None),
    "create_customer": ("POST", CUSTOMERS, BODY | {"taxId": "AAA010101AA1", "externalId": "crm/1"}),
    "get_customer": ("GET", f"{CUSTOMERS}/{CUSTOMER_ID}", None),
    "update_customer": ("PATCH", f"{CUSTOMERS}/{CUSTOMER_ID}", {"phone": None}),
    "list_customer_changes": ("GET", f"{CUSTOMERS}/changes", None),
    "list_customer_versions": ("GET", f"{CUSTOMERS}/{CUSTOMER_ID}/versions?limit=1", None),
    "get_customer_version": ("GET", f"{CUSTOMERS}/{CUSTOMER_ID}/versions/1", None),
    "batch_get_customers": ("POST", f"{CUSTOMERS}/batch-get", {"ids": [CUSTOMER_ID, "x"]}),
    "batch_upsert_customers": (
        "POST",
        f"{CUSTOMERS}/batch-upsert",
        {"customers": [BODY | {"externalId": "crm/3"}, {}]},
    ),
    "validate_customer_tax_info": ("GET", f"{CUSTOMERS}/{CUSTOMER_ID}/tax-info-validation", None),
    "validate_tax_info": ("POST", f"{CUSTOMERS}/tax-info-validation", {"taxId": 1}),
    "get_customer_by_external_id": ("GET", f"{CUSTOMERS}/by-external-id/crm%2F1", None),
    "put_customer_by_external_id": ("PUT", f"{CUSTOMERS}/by-external-id/crm-2", BODY | {"taxId": "AAA010101AA2"}),
    "put_sat_validation": ("PUT", f"{CUSTOMERS}/{CUSTOMER_ID}/sat-validation", SAT_ANSWER),
    "delete_sat_validation": ("DELETE", f"{CUSTOMERS}/{CUSTOMER_ID}/sat-validation", None),
    "list_members": ("GET", MEMBERS, None),
    "put_member": ("PUT", f"{MEMBERS}/another", {"role": "editor"}),
    "delete_member": ("DELETE", f"{MEMBERS}/another", None),
    "restore_customer": ("POST", f"{CUSTOMERS}/{CUSTOMER_ID}/restore", None),
    "put_customer_retention": ("PUT", f"{CUSTOMERS}/{CUSTOMER_ID}/retention", RETENTION),
    "get_customer_retention": ("GET", f"{CUSTOMERS}/{CUSTOMER_ID}/retention", None),
    "get_customer_erasure": ("GET", f"{CUSTOMERS}/{CUSTOMER_ID}/erasure", None),
    "delete_customer": ("DELETE", f"{CUSTOMERS}/{CUSTOMER_ID}", None),
    "erase_customer": ("POST", f"{CUSTOMERS}/{ERASED_CUSTOMER_ID}/erasure", None),
}
REFUSED: list[tuple[str, str, str, Any, dict[str, str]]] = [
    ("list_customers", "GET", f"{CUSTOMERS}?limit=0", None, {}),
    ("list_customer_changes", "GET", f"{CUSTOMERS}/changes?wait=21", None, {}),
    ("create_customer", "POST", CUSTOMERS, {}, {}),
    ("create_customer", "POST", CUSTOMERS, BODY, {}),
    ("create_customer", "POST", CUSTOMERS, BODY | {"taxId": "AAA010101AA3", "externalId": "crm/1"}, {}),
    ("create_customer", "POST", CUSTOMERS, BODY | {"taxId": "AAA010101AA1"}, {"Idempotency-Key": "a b"}),
    ("get_customer", "GET", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}", None, {}),
    ("get_customer", "GET", f"{CUSTOMERS}/{CUSTOMER_ID}?asOf=2025-01-26", None, {}),
    ("list_customer_versions", "GET", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/versions", None, {}),
    ("list_customer_versions", "GET", f"{CUSTOMERS}/{CUSTOMER_ID}/versions?limit=0", None, {}),
    ("get_customer_version", "GET", f"{CUSTOMERS}/{CUSTOMER_ID}/versions/7", None, {}),
    ("update_customer", "PATCH", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}", {}, {}),
    ("update_customer", "PATCH", f"{CUSTOMERS}/{CUSTOMER_ID}", {"taxId": "AAA010101AA1"}, {}),
    ("update_customer", "PATCH", f"{CUSTOMERS}/{CUSTOMER_ID}", {}, STALE),
    ("update_customer", "PATCH", f"{CUSTOMERS}/{CUSTOMER_ID}", {"taxId": None}, {}),
    ("batch_get_customers", "POST", f"{CUSTOMERS}/batch-get", {"ids": [1]}, {}),
    ("batch_upsert_customers", "POST", f"{CUSTOMERS}/batch-upsert", {"customers": 1}, {}),
    ("validate_customer_tax_info", "GET", f"{CUSTOMERS}/x/tax-info-validation", None, {}),
    ("validate_tax_info", "POST", f"{CUSTOMERS}/tax-info-validation", [0] * 60_000, {}),
    ("get_customer_by_external_id", "GET", f"{CUSTOMERS}/by-external-id/none", None, {}),
    ("put_customer_by_external_id", "PUT", f"{CUSTOMERS}/by-external-id/crm-2", BODY | {"taxId": "AAA010101AA1"}, {}),
    ("put_customer_by_external_id", "PUT", f"{CUSTOMERS}/by-external-id/crm-2", BODY, STALE),
    ("put_customer_by_external_id", "PUT", f"{CUSTOMERS}/by-external-id/crm-2", {}, {}),
    ("put_member", "PUT", f"{MEMBERS}/another", {"role": "owner"}, {}),
    ("put_member", "PUT", f"{MEMBERS}/{MEMBER}", {"role": "editor"}, {}),
    ("delete_member", "DELETE", f"{MEMBERS}/{MEMBER}", None, {}),
    ("delete_member", "DELETE", f"{MEMBERS}/unknown", None, {}),
    ("delete_customer", "DELETE", f"{CUSTOMERS}/{CUSTOMER_ID}", None, STALE),
    ("delete_customer", "DELETE", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}", None, {}),
    ("restore_customer", "POST", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/restore", None, {}),
    ("restore_customer", "POST", f"{CUSTOMERS}/{CUSTOMER_ID}/restore", None, STALE),
    ("put_sat_validation", "PUT", f"{CUSTOMERS}/{CUSTOMER_ID}/sat-validation", {}, {}),
    ("put_sat_validation", "PUT", f"{CUSTOMERS}/{CUSTOMER_ID}/sat-validation", SAT_ANSWER, STALE),
    ("put_sat_validation", "PUT", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/sat-validation", SAT_ANSWER, {}),
    ("delete_sat_validation", "DELETE", f"{CUSTOMERS}/{CUSTOMER_ID}/sat-validation", None, STALE),
    ("delete_sat_validation", "DELETE", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/sat-validation", None, {}),
    ("put_customer_retention", "PUT", f"{CUSTOMERS}/{CUSTOMER_ID}/retention", {}, {}),
    ("put_customer_retention", "PUT", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/retention", RETENTION, {}),
    ("get_customer_retention", "GET", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/retention", None, {}),
    ("get_customer_erasure", "GET", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/erasure", None, {}),
    ("erase_customer", "POST", f"{CUSTOMERS}/{MISSING_CUSTOMER_ID}/erasure", None, {}),
    ("list_invoice_uses", "GET", "/catalogs/invoice-uses?taxSystem=x", None, {}),
    ("get_zip_code", "GET", "/catalogs/zip-codes/01001", None, {}),
    ("get_zip_code", "GET", "/catalogs/zip-codes/x", None, {}),
]


def exchanges(service: Service, mongodb: Database[Document]) -> Iterator[Exchange]:
    """Yield an answer of each documented kind that a request alone can bring about, with its operation."""
    yield from _exchanges_of_a_replica_set(mongodb)
    service.database.memberships.update_one({"userId": MEMBER}, {"$set": {"role": "admin"}})
    service.database.customers.insert_one(EXAMPLE_CUSTOMER | {"_id": ObjectId(ERASED_CUSTOMER_ID)})
    ask = service.client.open
    for name, (method, path, body) in FOLLOWED.items():
        if name == "delete_customer":
            yield from _refused(service)
        again = 2 if method == "PUT" else 1  # it creates, and then it changes
        for _ in range(again):
            followed = ask(path, method=method, json=body, headers=bearer())
            yield name, followed
        if method == "GET" and "ETag" in followed.headers:
            yield name, ask(path, headers=bearer() | {"If-None-Match": followed.headers["ETag"]})
    ask(CUSTOMERS, method="POST", json=BODY, headers=bearer())  # what the deleted one was
    yield "restore_customer", ask(f"{CUSTOMERS}/{CUSTOMER_ID}/restore", method="POST", headers=bearer())


def _exchanges_of_a_replica_set(mongodb: Database[Document]) -> Iterator[Exchange]:
    client, path = serve(mongodb).client, f"{CUSTOMERS}/changes"
    backfill_search_fields(mongodb)
    yield "list_customer_changes", client.get(path, headers=bearer())
    cursor = cursor_of(ChangePosition(2**32 - 1, 0, 0), ORGANIZATION)
    yield "list_customer_changes", client.get(f"{path}?cursor={cursor}", headers=bearer())


def _refused(service: Service) -> Iterator[Exchange]:
    ask = service.client.open
    for name, method, path, body, headers in REFUSED:
        yield name, ask(path, method=method, json=body, headers=bearer() | headers)
    for name, (method, path, body) in FOLLOWED.items():
        if not path.startswith(("/organizations", "/catalogs")):
            continue
        yield name, ask(path, method=method, json=body)
        yield name, ask(path, method=method, json=body, headers={"Authorization": "Bearer x"})
        yield name, ask(path.replace(ORGANIZATION, OTHER_ORGANIZATION), method=method, json=body, headers=bearer())
        yield name, ask(path.replace(ORGANIZATION, "a/b"), method=method, json=body, headers=bearer())
        if body is not None:
            for data, media_type in (
                (b"{", "application/json"),
                (b"{}", "text/plain"),
                (b" " * 1_000_001, "application/json"),
            ):
                yield name, ask(path, method=method, data=data, content_type=media_type, headers=bearer())


MAXIMUM_DOCUMENT_BYTES = 60_000
PRIVATE = "Cache-Control: private, no-cache"
SHARED = ("parameters", "responses", "headers", "examples")


def test_the_document_is_short(service: Service) -> None:
    assert len(service.client.get("/openapi.json").data) <= MAXIMUM_DOCUMENT_BYTES


def test_nothing_long_is_described_twice(document: dict[str, Any]) -> None:
    """A description that a reference to a component would shorten is in one place."""
    places = [*described(document["paths"]), *described(document["components"])]
    counted = Counter(json.dumps(each, sort_keys=True) for each in places)
    assert [text for text, times in counted.items() if times > 1 and len(text) > 200] == []


def described(value: Any) -> Iterator[Any]:
    """Yield each parameter, response, header and example inside a value."""
    if not isinstance(value, dict):
        return
    for key, each in value.items():
        if key in SHARED:
            yield from each.values() if isinstance(each, dict) else each
        yield from described(each)


def test_every_component_is_referred_to(document: dict[str, Any]) -> None:
    referred = set(re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(document)))
    components = {kind: names for kind, names in document["components"].items() if kind != "securitySchemes"}
    assert referred == {(kind, name) for kind, names in components.items() for name in names}


def response_of(operation: dict[str, Any], status: int) -> dict[str, Any]:
    """Return the documented response of this status."""
    responses: dict[str, dict[str, Any]] = operation["responses"]
    return responses.get(str(status), responses["default"])


def slug_of(response: TestResponse) -> str:
    assert response.json is not None
    slug: str = response.json["type"].removeprefix("urn:problem-type:")
    return slug


def validate(value: object, schema: dict[str, Any], document: dict[str, Any]) -> None:
    import jsonschema  # noqa: PLC0415 - as above

    whole = schema | {"components": document["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


def test_every_documented_status_is_brought_about(
    service: Service, mongodb: Database[Document], document: dict[str, Any]
) -> None:
    seen: dict[str, set[str]] = {}
    for name, response in exchanges(service, mongodb):
        seen.setdefault(name, set()).add(str(response.status_code))
    operations = operations_of(document)
    own = {name: {status for status in each["responses"] if status != "default"} for name, each in operations.items()}
    assert {name: statuses & own[name] for name, statuses in seen.items()} == own


def test_real_answers_fit_their_schemas_and_headers(
    service: Service, mongodb: Database[Document], document: dict[str, Any]
) -> None:
    operations = operations_of(document)
    for name, response in exchanges(service, mongodb):
        documented = response_of(operations[name], response.status_code)
        for header, stated in documented.get("headers", {}).items():
            if "required" in stated or header in response.headers:
                validate(response.headers[header], stated["schema"], document)
        if "content" in documented:
            value = response.json if response.is_json else response.text
            validate(value, documented["content"][response.mimetype]["schema"], document)
        else:
            assert response.data == b""


def test_every_answer_has_the_headers_that_the_document_names_once(
    service: Service, mongodb: Database[Document], document: dict[str, Any]
) -> None:
    for name in ("X-Request-ID", "traceparent", "X-Content-Type-Options: nosniff", "no-store", PRIVATE):
        assert f"`{name}`" in document["info"]["description"]
    for _, response in exchanges(service, mongodb):
        assert {"X-Request-ID", "traceparent"} <= {name for name, _ in response.headers}
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        if response.status_code >= 400:
            assert response.headers["Cache-Control"] == "no-store"
        elif response.data and response.request.path.startswith("/organizations"):
            assert f"Cache-Control: {response.headers['Cache-Control']}" == PRIVATE


def test_problem_examples_are_real_answers(
    service: Service, mongodb: Database[Document], document: dict[str, Any]
) -> None:
    """The examples of a status hold the very problem that a request gets, but for what differs each time."""
    operations = operations_of(document)
    for name, response in exchanges(service, mongodb):
        if response.content_type != "application/problem+json":
            continue
        content = response_of(operations[name], response.status_code)["content"]["application/problem+json"]
        slug = slug_of(response)
        responses = operations[name]["responses"]
        listed = (
            response_of(operations[name], response.status_code)["description"] + responses["default"]["description"]
        )
        assert f"`{slug}`" in listed
        if slug not in content.get("examples", {}):
            continue
        assert response.json is not None
        example = content["examples"][slug]["value"]
        assert set(example) == set(response.json)
        same = ("type", "title", "status", *(["detail"] if response.status_code not in {400, 415} else []))
        assert [example[each] for each in same] == [response.json[each] for each in same]


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    for operation in operations_of(document).values():
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    validate(example["value"], content["schema"], document)
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if "example" in field:
                validate(field["example"], field, document)


def test_the_problem_types_are_those_that_can_be_sent(document: dict[str, Any]) -> None:
    errors = set(all_subclasses(CustomerServiceError)) - {SettingsError, Duplicate}  # Duplicate is raised as its kinds
    assert set(PROBLEMS) == errors
    documented = {
        slug
        for operation in operations_of(document).values()
        for response in operation["responses"].values()
        for slug in re.findall(r"`([a-z-]+)`", response["description"])
    }
    assert {problem.slug for problem in ALL_PROBLEMS} - documented == {"method-not-allowed"}


def all_subclasses(error: type[Exception]) -> set[type[Exception]]:
    return {each for direct in error.__subclasses__() for each in {direct, *all_subclasses(direct)}}


def test_the_page_keys_are_required_and_no_other(service: Service, document: dict[str, Any]) -> None:
    customer = service.client.get(url(), headers=bearer()).get_json()
    schemas = document["components"]["schemas"]
    assert set(schemas["Customer"]["required"]) == set(customer)
    assert set(schemas["Customer"]["properties"]) == {*customer, "externalId", "metadata", "satValidation"}
    assert set(schemas["Address"]["properties"]) == set(customer["address"]) == set(schemas["Address"]["required"])


def test_an_error_that_is_not_listed_is_a_fault_of_the_service(service: Service) -> None:
    service.app.before_request(lambda: abort(418))
    response = service.client.get("/livez")
    assert response.status_code == 500
    assert response.json is not None
    assert response.json["type"] == "urn:problem-type:internal-error"
