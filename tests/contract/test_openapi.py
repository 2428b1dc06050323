"""The document and the service say the same, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import mongomock
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from customer_service import openapi
from tests.support import MISSING_CUSTOMER_ID, OTHER_ORGANIZATION, Service, bearer, serve, url

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

UNDOCUMENTED = {"/openapi.json"}
PUBLIC = {"/livez", "/readyz", "/openapi.json"}
CUSTOMER_PATH = "/organizations/{organizationId}/customers/{customerId}"


@pytest.fixture
def service() -> Service:
    return serve(mongomock.MongoClient().customer_service)


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    answer: dict[str, Any] = service.client.get("/openapi.json").get_json()
    return answer


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_both_documented_base_paths_are_servers(document: dict[str, Any]) -> None:
    assert [server["url"] for server in document["servers"]] == ["/", "/api"]


def test_every_rule_is_documented_and_every_path_is_served(service: Service, document: dict[str, Any]) -> None:
    served = {
        (openapi.path_of(rule), method.lower())
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
            assert operation["security"] == ([] if path in PUBLIC else [{"bearerToken": []}])


def test_the_read_is_the_specifications(document: dict[str, Any]) -> None:
    operation = document["paths"][CUSTOMER_PATH]["get"]
    assert operation["operationId"] == "get_customer"
    assert operation["summary"] == "Get a customer by ID"
    parameters = [(parameter["name"], parameter["in"], parameter["required"]) for parameter in operation["parameters"]]
    assert parameters == [
        ("organizationId", "path", True),
        ("customerId", "path", True),
        ("If-None-Match", "header", False),
    ]


def answers(service: Service) -> list[tuple[str, TestResponse]]:
    """Return an answer of each documented kind that a request alone can bring about, with its path."""
    get = service.client.get
    etag = get(url(), headers=bearer()).headers["ETag"]
    found = [
        (CUSTOMER_PATH, get(url(), headers=bearer())),
        (CUSTOMER_PATH, get(url(), headers=bearer() | {"If-None-Match": etag})),
        (CUSTOMER_PATH, get(url())),
        (CUSTOMER_PATH, get(url(OTHER_ORGANIZATION), headers=bearer())),
        (CUSTOMER_PATH, get(url(customer=MISSING_CUSTOMER_ID), headers=bearer())),
        ("/livez", get("/livez")),
        ("/readyz", get("/readyz")),
    ]
    service.database.customers.update_many({}, {"$unset": {"email": ""}})
    return [*found, (CUSTOMER_PATH, get(url(), headers=bearer()))]


def test_real_answers_fit_their_schemas(service: Service, document: dict[str, Any]) -> None:
    for path, response in answers(service):
        documented = document["paths"][path]["get"]["responses"][str(response.status_code)]
        assert set(documented.get("headers", {})) <= set(response.headers.keys())
        if "content" in documented:
            schema = documented["content"][response.content_type]["schema"]
            validator = jsonschema.Draft202012Validator(
                schema | {"components": document["components"]}, format_checker=jsonschema.FormatChecker()
            )
            validator.validate(response.json)
        else:
            assert response.data == b""


def test_problem_examples_are_real_answers(service: Service, document: dict[str, Any]) -> None:
    """The examples of a status hold the very problem that a request gets, but for the request id."""
    for path, response in answers(service):
        if response.content_type != "application/problem+json":
            continue
        documented = document["paths"][path]["get"]["responses"][str(response.status_code)]
        examples = [example["value"] for example in documented["content"][response.content_type]["examples"].values()]
        assert response.json is not None
        told = {name: value for name, value in response.json.items() if name != "requestId"}
        assert told in [{name: value for name, value in each.items() if name != "requestId"} for each in examples]


def test_the_schema_has_no_key_that_an_answer_lacks(service: Service, document: dict[str, Any]) -> None:
    customer = service.client.get(url(), headers=bearer()).get_json()
    schemas = document["components"]["schemas"]
    assert set(schemas["Customer"]["properties"]) == set(customer) == set(schemas["Customer"]["required"])
    assert set(schemas["Address"]["properties"]) == set(customer["address"]) == set(schemas["Address"]["required"])
