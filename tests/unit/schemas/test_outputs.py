"""The wire format of a customer, without an application."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.errors import MalformedDocument
from customer_service.schemas.outputs import CustomerSchema
from tests.support import EXAMPLE

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_keys_have_the_order_of_the_specification() -> None:
    assert list(CustomerSchema().dump(EXAMPLE_CUSTOMER)) == list(EXAMPLE)


@given(st.dictionaries(st.sampled_from(sorted(EXAMPLE)), ANYTHING))
def test_a_document_has_the_contracts_types_or_raises_malformed_document(changes: dict[str, Any]) -> None:
    try:
        dumped = CustomerSchema().dump(EXAMPLE_CUSTOMER | changes)
    except MalformedDocument:
        return
    assert list(dumped) == list(EXAMPLE)
    assert all(isinstance(dumped[name], str) for name in EXAMPLE if name not in {"phone", "address"})
    assert dumped["phone"] is None or isinstance(dumped["phone"], str)
    assert all(value is None or isinstance(value, str) for value in dumped["address"].values())


@given(st.dictionaries(st.sampled_from([*sorted(EXAMPLE), "externalId", "metadata", "other"]), ANYTHING))
def test_a_document_is_serialized_as_marshmallow_dumps_it(changes: dict[str, Any]) -> None:
    document = EXAMPLE_CUSTOMER | changes
    try:
        dumped = CustomerSchema().dump(document)
    except MalformedDocument as error:
        with pytest.raises(MalformedDocument, match=str(error)):
            CustomerSchema().dump_document(document)
    else:
        assert list(CustomerSchema().dump_document(document).items()) == list(dumped.items())


def test_malformed_document_names_the_field() -> None:
    with pytest.raises(MalformedDocument, match=r"^field zip$"):
        CustomerSchema().dump(EXAMPLE_CUSTOMER | {"address": {"zip": 86500}})


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - as BSON has it
def test_a_time_reads_back_to_the_millisecond(moment: datetime) -> None:
    time = CustomerSchema().dump(EXAMPLE_CUSTOMER | {"createdAt": moment})["createdAt"]
    expected = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    assert datetime.fromisoformat(time) == expected
    assert ("." in time) == (expected.microsecond != 0)
    assert time.endswith("Z")


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=-6)])
def test_an_aware_time_is_serialized_in_utc(offset: timedelta) -> None:
    moment = datetime(2025, 1, 26, 10, tzinfo=UTC).astimezone(timezone(offset))
    assert CustomerSchema().dump(EXAMPLE_CUSTOMER | {"createdAt": moment})["createdAt"] == "2025-01-26T10:00:00Z"


@pytest.mark.parametrize("metadata", [{"a": 1}, "text", ["a"]])
def test_metadata_of_another_type_is_refused(metadata: object) -> None:
    with pytest.raises(MalformedDocument, match="metadata"):
        CustomerSchema().dump(EXAMPLE_CUSTOMER | {"metadata": metadata})
