"""Give the fuzzer what no schema holds: a token, and customers that pass the tax authority's rules."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import schemathesis

from customer_service.fiscal import catalogues
from tests.support import MEMBER

if TYPE_CHECKING:
    from schemathesis import Case, HookContext

SHARE = 4


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Keep the caller an admin, and make three of four requests such that they are not refused at once."""
    if case.path_parameters.get("userId") == MEMBER:
        case.path_parameters["userId"] = "another-member"
    if case.meta is None or _spared(case) or getattr(case.meta.phase.data, "parameter", "") == "Authorization":
        return
    case.headers.pop("If-Match", None)
    if not case.meta.generation.mode.is_positive:
        return
    case.query.pop("cursor", None)
    if "put_customer" in case.operation.definition.raw["operationId"] and isinstance(case.body, dict):
        case.body.pop("externalId", None)
    if isinstance(case.body, dict) and "address" in str(case.operation.body):
        _follow_the_rules(case.body)


def _spared(case: Case[Any]) -> bool:
    return zlib.crc32(repr((case.path_parameters, case.body)).encode()) % SHARE == 0


def _follow_the_rules(customer: dict[str, Any]) -> None:
    """Change a customer, or a part of one, into a company of Mexico."""
    digits = zlib.crc32(json.dumps(customer, sort_keys=True).encode()) % 28_000
    if isinstance(customer.get("externalId"), str):
        customer["externalId"] = f"{customer['externalId'][:200]}{digits}"
    if "taxId" in customer:
        customer["taxId"] = f"FUZ0101{digits % 28 + 1:02}{digits // 28:03}"
    if "taxSystem" in customer:
        customer["taxSystem"] = "601"
    if "defaultInvoiceUse" in customer and customer["defaultInvoiceUse"] not in catalogues.USES_BY_REGIME["601"]:
        customer["defaultInvoiceUse"] = "G03"
    if "email" in customer:
        customer["email"] = "billing@dundermifflin.com"
    if "phone" in customer:
        customer["phone"] = "6474010101"
    if isinstance(customer.get("address"), dict):
        customer["address"] |= {"country": "MEX", "zip": "86500"}
