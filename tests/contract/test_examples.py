"""What the documentation page's forms are filled with succeeds on the demo, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongomock
import pytest

from customer_service.app import create_app
from customer_service.cli import demo
from tests.support import EXAMPLE, bearer, settings
from tests.support.mongod import free_port
from tests.support.openapi import resolved

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document


ERASURE = "erase_customer"
"""The operation after which the documented customer is gone for good: it comes last."""


def fresh_demo() -> FlaskClient:
    database: Database[Document] = mongomock.MongoClient().customer_service
    demo.fill(database)
    return create_app(settings(), database).test_client()


@pytest.fixture
def client() -> FlaskClient:
    return fresh_demo()


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").get_json()
    return answer


def send(client: FlaskClient, path: str, method: str, operation: dict[str, Any]) -> TestResponse:
    """Send the request that the page sends if a person only presses Execute."""
    query = {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        elif parameter["in"] == "query" and "default" in parameter["schema"]:
            query[parameter["name"]] = parameter["schema"]["default"]
    content = operation.get("requestBody", {}).get("content", {"application/json": {}})
    media_type, body = next(iter(content.items()))
    headers = bearer(demo.MEMBER) | {"Content-Type": media_type}
    return client.open(path, method=method, json=body.get("example"), query_string=query, headers=headers)


def test_every_example_succeeds_on_the_demo_in_the_order_of_the_page(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    operations = [
        (path, method, resolved(operation, document))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    operations.sort(key=lambda each: each[2]["operationId"] == ERASURE)
    failed = []
    for path, method, operation in operations:
        for _ in range(2 if method in {"put", "get"} else 1):
            response = send(client, path, method, operation)
            if str(response.status_code) not in operation["responses"] or response.status_code >= 400:
                failed.append((operation["operationId"], response.status_code))
    assert set(failed) == {("list_customer_changes", 501)}
    changes = document["paths"]["/organizations/{organizationId}/customers/changes"]["get"]
    assert "The demo stores in memory, and answers 501 instead." in changes["description"]


@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_single_operation_succeeds_on_a_fresh_demo(document: dict[str, Any], method: str) -> None:
    for path, item in document["paths"].items():
        if method in item:
            response = send(fresh_demo(), path, method, resolved(item[method], document))
            assert response.status_code in {200, 204}, (path, response.text)


def test_the_demo_has_the_documented_customer(client: FlaskClient, document: dict[str, Any]) -> None:
    path = "/organizations/{organizationId}/customers/{customerId}"
    assert send(client, path, "get", resolved(document["paths"][path]["get"], document)).get_json() == EXAMPLE


def test_each_request_body_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    import jsonschema  # noqa: PLC0415 - its import takes seconds

    for item in document["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"] | {"components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(content["example"])
                assert content["example"], operation["operationId"]


def test_the_customers_of_the_examples_have_no_warnings(client: FlaskClient, document: dict[str, Any]) -> None:
    path = "/organizations/{organizationId}/customers/tax-info-validation"
    validate = resolved(document["paths"][path]["post"], document)
    sent = [
        content["example"]
        for item in document["paths"].values()
        for operation in item.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    customers = [each for example in sent for each in example.get("customers", [example]) if "legalName" in each]
    assert len(customers) > 3
    for customer in customers:
        validate["requestBody"]["content"]["application/json"]["example"] = customer
        answer = send(client, path, "post", validate).get_json()
        assert answer == {"isValid": True, "errors": [], "warnings": []}


@pytest.mark.parametrize(("prefix", "base"), [("", "http://localhost:4001"), ("/crm", "/crm")])
def test_the_servers_of_the_demo_are_absolute(monkeypatch: pytest.MonkeyPatch, prefix: str, base: str) -> None:
    """A generator that reads the document from a file knows no other address; a gateway has its own."""
    environment = demo.demo_environment({"TRUSTED_PROXIES": "127.0.0.1"}, free_port())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    headers = {"Host": "localhost:4001", "X-Forwarded-Prefix": prefix}
    document = demo.app().test_client().get("/openapi.json", headers=headers).get_json()
    assert [server["url"] for server in document["servers"]] == [base, f"{base}/api"]
