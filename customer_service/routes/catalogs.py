"""The routes of the SAT's catalogues, which fill the lists of a form; every caller with a token may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service.errors import InvalidRequest, ZipCodeNotFound
from customer_service.fiscal import rules
from customer_service.fiscal.catalogues import COMPANY_REGIMES, PERSON_REGIMES, USES_BY_REGIME
from customer_service.fiscal.names_and_places import names_of, place_of
from customer_service.routes.blueprint import IF_NONE_MATCH, TOKEN_ERRORS, token_blueprint
from customer_service.schemas.outputs import CodeListSchema, InvoiceUseListSchema, TaxSystemListSchema, ZipCodeSchema
from customer_service.web.operations import Operation, Parameter, SuccessResponse
from customer_service.web.query_parameters import query_values
from customer_service.web.responses import cacheable_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flask import Response
    from marshmallow import Schema

    from customer_service.errors import CustomerServiceError
    from customer_service.fiscal.names_and_places import Catalogue, CatalogueEntry

blueprint = token_blueprint("catalogs", "/catalogs")

FOR_A_DAY = {"Cache-Control": "private, max-age=86400"}
CATALOG_ETAG = {"type": "string", "pattern": '^"[0-9a-f]{40}"$'}
CATALOG_HEADERS = {
    "Cache-Control": Parameter("Keep it for a day.", {"const": FOR_A_DAY["Cache-Control"]}, required=True),
    "ETag": Parameter("Changes with the catalogue.", CATALOG_ETAG, required=True),
}
USE_PARAMETERS = {
    "taxSystem": Parameter(
        "Only the uses that this regime allows.", {"type": "string", "enum": sorted(USES_BY_REGIME)}
    ),
    "taxId": Parameter("An RFC: only the uses that some regime of such a receiver allows."),
}


def _catalog(
    schema: type[Schema],
    *own_errors: type[CustomerServiceError],
    query: Mapping[str, Parameter] | None = None,
) -> Operation:
    return Operation(
        "Catalogs",
        {200: SuccessResponse(schema, CATALOG_HEADERS), 304: SuccessResponse(headers=CATALOG_HEADERS)},
        role=None,
        errors=(*TOKEN_ERRORS, *own_errors),
        request_headers=IF_NONE_MATCH,
        query=query or {},
        any_token=True,
    )


@blueprint.get("/tax-systems")
@_catalog(TaxSystemListSchema)
def list_tax_systems() -> Response:
    """List the regimes that a customer may have.

    They are those of the SAT's c_RegimenFiscal, each with the receivers that may have it.
    """
    return _list(
        {"code": code, "name": name, "companies": code in COMPANY_REGIMES, "persons": code in PERSON_REGIMES}
        for code, name in names_of("taxSystems").items()
    )


@blueprint.get("/invoice-uses")
@_catalog(InvoiceUseListSchema, InvalidRequest, query=USE_PARAMETERS)
def list_invoice_uses() -> Response:
    """List the uses that an invoice may have.

    They are those of the SAT's c_UsoCFDI, each with all the regimes that allow it. With `taxSystem` or `taxId`,
    the list has only the uses that such a receiver may choose.
    """
    receiver = rules.normalized(query_values(USE_PARAMETERS))
    if findings := rules.errors(receiver):
        raise InvalidRequest(findings)
    possible = rules.possible_tax_systems(receiver)
    uses = [(code, name, _tax_systems_of(code)) for code, name in names_of("invoiceUses").items()]
    return _list(
        {"code": code, "name": name, "taxSystems": tax_systems}
        for code, name, tax_systems in uses
        if not possible.isdisjoint(tax_systems)
    )


@blueprint.get("/countries")
@_catalog(CodeListSchema)
def list_countries() -> Response:
    """List the countries.

    They are those of ISO 3166-1 alpha-3, with their names in the SAT's c_Pais.
    """
    return _list_names("countries")


@blueprint.get("/states")
@_catalog(CodeListSchema)
def list_states() -> Response:
    """List Mexico's states.

    They are those of the SAT's c_Estado.
    """
    return _list_names("states")


@blueprint.get("/zip-codes/<zip_code>")
@_catalog(ZipCodeSchema, ZipCodeNotFound)
def get_zip_code(zip_code: str) -> Response:
    """Get the place of a zip code.

    It is that of the SAT's c_CodigoPostal, where many have no municipality and most have no city.
    """
    place = place_of(zip_code)
    if place is None:
        raise ZipCodeNotFound
    parts = {name: _named(part) for name, part in place._asdict().items()}
    return cacheable_response({"zip": zip_code, **parts}, FOR_A_DAY)


def _tax_systems_of(use: str) -> list[str]:
    return sorted(regime for regime, uses in USES_BY_REGIME.items() if use in uses)


def _named(part: CatalogueEntry | None) -> dict[str, str] | None:
    return part._asdict() if part else None


def _list_names(catalogue: Catalogue) -> Response:
    return _list({"code": code, "name": name} for code, name in names_of(catalogue).items())


def _list(codes: Iterable[dict[str, object]]) -> Response:
    return cacheable_response({"data": list(codes)}, FOR_A_DAY)
