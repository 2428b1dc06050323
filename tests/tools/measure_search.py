"""What a list costs among CUSTOMERS of one organization with Mexican names, by what it asks for, and what it weighs.

`python -m tests.tools.measure_search CUSTOMERS ROUNDS` prints the table of docs/performance.md.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import pymongo
import pymongo.monitoring
from bson import ObjectId

from customer_service.app import create_app
from customer_service.repository import CustomerBatchRepository, MembershipRepository, ensure_indexes
from customer_service.repository.customers import search_and_unique_fields
from customer_service.settings import ServerSettings
from tests.support import MEMBER, ORGANIZATION, WRITER, bearer, customers_url, mongod, new_customer, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

BATCH = 1000
CREATES = 300
PAGE = 20
START = datetime(2025, 1, 1)  # noqa: DTZ001 - as the repository has it
GENERIC = "XAXX010101000"
SURNAMES = (
    "HERNÁNDEZ GARCÍA MARTÍNEZ LÓPEZ GONZÁLEZ PÉREZ RODRÍGUEZ SÁNCHEZ RAMÍREZ CRUZ FLORES GÓMEZ MORALES VÁZQUEZ REYES "
    "JIMÉNEZ TORRES DÍAZ GUTIÉRREZ RUIZ MENDOZA AGUILAR ORTIZ MORENO CASTILLO ROMERO ÁLVAREZ MÉNDEZ CHÁVEZ RIVERA "
    "JUÁREZ RAMOS DOMÍNGUEZ HERRERA MEDINA CASTRO VARGAS GUZMÁN VELÁZQUEZ MUÑOZ ROJAS CONTRERAS SALAZAR LUNA ORTEGA "
    "ESTRADA BAUTISTA SOTO GUERRERO CORTÉS LARA VEGA ESPINOZA RÍOS ROSAS CERVANTES IBARRA AYALA NAVARRO PEÑA ZÚÑIGA"
)
GIVEN = (
    "MARÍA JOSÉ JUAN GUADALUPE LUIS CARLOS JESÚS ANA FRANCISCO MIGUEL ALEJANDRO PEDRO ROSA MARTHA ÁNGEL JORGE MANUEL "
    "FERNANDO ROBERTO PATRICIA ALEJANDRA VERÓNICA LETICIA RICARDO EDUARDO JAVIER ANTONIO RAFAEL SERGIO DANIEL GABRIELA "
    "ADRIANA CONCEPCIÓN ELIZABETH XIMENA VALERIA ZOÉ CUAUHTÉMOC XÓCHITL ITZEL"
)
TRADES = (
    "COMERCIALIZADORA DISTRIBUIDORA CONSTRUCTORA GRUPO SERVICIOS TRANSPORTES INMOBILIARIA AUTOPARTES FERRETERÍA "
    "PAPELERÍA ABARROTES FARMACIAS CONSULTORÍA INDUSTRIAS MATERIALES PROMOTORA OPERADORA AGRÍCOLA"
)
PLACES = (
    "DEL_NORTE DEL_PACÍFICO DE_OCCIDENTE DEL_BAJÍO MONTERREY DE_MÉXICO JALISCO LA_LAGUNA DEL_VALLE PUEBLA SONORA "
    "Y_ASOCIADOS INTEGRALES INTERNACIONAL PENINSULAR TIJUANA"
)
HEADER = "| list | found | keys | documents | p50 ms | p95 ms |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
SYLLABLES = [first + vowel for first in "BCDFGHJLMNPRSTVYZ" for vowel in "AEIOU"]
CHANCE = random.Random(7)  # noqa: S311 - the same customers in every run
RARE = ["".join(CHANCE.sample(SYLLABLES, 3)) for _ in range(2000)]
LISTS: dict[str, Sequence[dict[str, str]]] = {
    "all": [{}],
    "a common word": [{"q": "garcia"}, {"q": "maria"}, {"q": "comercializadora"}],
    "a rare word": [{"q": word} for word in RARE[:3]],
    "a letter": [{"q": "m"}, {"q": "z"}],
    "an email": [{"email": "box777@example777.com"}],
    "a metadata entry": [{"metadata[segment]": "paper"}],
    "a generic tax id": [{"taxId": GENERIC}],
    "a range": [{"createdAt[gte]": "2025-01-10T00:00:00Z"}, {"updatedAt[lt]": "2025-01-20T00:00:00Z"}],
    "two common words": [{"q": "maria garcia"}, {"q": "hernandez lopez"}, {"q": "jose perez"}],
    "two long words": [{"q": "comercializadora internacional"}, {"q": "distribuidora peninsular"}],
    "two words, one rare": [{"q": f"garcia {word}"} for word in RARE[:3]],
    "two words, one unknown": [{"q": "garcia qqqq"}, {"q": "maria qqqq"}],
    "two common words that hardly any have": [{"q": "comercializadora garcia"}, {"q": "zoe zuniga"}],
    "two letters": [{"q": "m g"}, {"q": "z x"}],
    "a common word with a range": [
        {"q": "garcia", "createdAt[gte]": "2025-01-10T00:00:00Z"},
        {"q": "maria", "updatedAt[gte]": "2025-01-10T00:00:00Z", "updatedAt[lt]": "2025-01-12T00:00:00Z"},
    ],
    "a word of 1 in 100 with a range": [{"q": "ibarra", "createdAt[gte]": "2025-01-10T00:00:00Z"}],
    "a rare word with a range": [{"q": RARE[0], "createdAt[gte]": "2025-01-02T00:00:00Z"}],
    "a common word with a range of a minute": [
        {"q": "garcia", "createdAt[gte]": "2025-01-10T00:00:00Z", "createdAt[lt]": "2025-01-10T00:01:00Z"}
    ],
    "a word with an email": [{"q": "garcia", "email": "box777@example777.com"}],
    "a generic tax id with a common word": [{"taxId": GENERIC, "q": "garcia"}, {"taxId": GENERIC, "q": "maria"}],
    "a generic tax id with a rare word": [{"taxId": GENERIC, "q": RARE[1]}],
    "a generic tax id with a word that none of them has": [{"taxId": GENERIC, "q": "crm"}],
    "a generic tax id with a range": [{"taxId": GENERIC, "createdAt[gte]": "2025-01-10T00:00:00Z"}],
    "three common words": [{"q": "maria garcia lopez"}, {"q": "jose hernandez perez"}, {"q": "juan cruz reyes"}],
    "three words that no customer has together": [{"q": "garcia lopez comercializadora"}, {"q": "maria jose grupo"}],
    "a common word with ranges of both times": [
        {"q": "garcia", "createdAt[gte]": "2025-01-10T00:00:00Z", "updatedAt[gte]": "2025-01-20T00:00:00Z"}
    ],
}


class Examined(pymongo.monitoring.CommandListener):
    """Keeps the finds, to be explained."""

    def __init__(self) -> None:
        self.finds: list[dict[str, Any]] = []

    def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
        if event.command.get("find") == "customers":
            self.finds.append(dict(event.command))

    def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None:
        """Nothing to keep."""


def legal_name() -> str:
    """Return the name of a person, or in three of ten of a company; the first surnames are by far the most common."""
    if CHANCE.random() < 0.3:
        own = CHANCE.choice((CHANCE.choice(RARE), _surname()))
        return f"{_pick(TRADES, 1)} {own} {_pick(PLACES, 1).replace('_', ' ')}"
    given = (_pick(GIVEN, 2) for _ in range(CHANCE.choice((1, 2))))
    return " ".join((*given, _surname(), _surname()))


def customer(number: int) -> dict[str, Any]:
    """Return a customer to store; one of ten has the generic tax id, half have an external id."""
    letters = "".join(CHANCE.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(4))
    date = f"{CHANCE.randrange(50, 100)}{CHANCE.randrange(1, 13):02}{CHANCE.randrange(1, 29):02}"
    return new_customer(
        legalName=legal_name(),
        taxId=GENERIC if number % 10 == 0 else f"{letters}{date}{number % 1000:03}",
        email=f"{CHANCE.choice(('box', 'facturacion', 'compras'))}{number}@example{number % 1000}.com"
        if number % 3
        else f"box{number}@example{number % 1000}.com",
        metadata={"segment": CHANCE.choice(("paper", "steel", "food"))},
        **({"externalId": f"crm-{number}"} if number % 2 else {}),
    )


def fill(database: Database[Document], count: int) -> None:
    """Store the customers, created over a month and changed in another order."""
    for first in range(0, count, BATCH):
        documents = []
        for number in range(first, first + BATCH):
            own = customer(number)
            times = {
                name: START + timedelta(seconds=30 * 86400 * place / count)
                for name, place in (("createdAt", number), ("updatedAt", number * 7919 % count))
            }
            fields = {"_id": ObjectId(f"66{number:022x}"), "organizationId": ORGANIZATION, "version": 1}
            documents.append({**fields, **own, **times, **search_and_unique_fields(own)})
        database.customers.insert_many(documents, ordered=False)


def weights(database: Database[Document]) -> str:
    """Return what a customer weighs, by the statistics of the collection, without the space that is free for reuse."""
    database.client.admin.command("fsync")
    (stats,) = database.customers.aggregate([{"$collStats": {"storageStats": {}}}])
    stored, count = stats["storageStats"], stats["storageStats"]["count"]
    free = {
        name: each["block-manager"]["file bytes available for reuse"] for name, each in stored["indexDetails"].items()
    }
    sizes = {name: (size - free[name]) / count for name, size in stored["indexSizes"].items()}
    each = ", ".join(f"{name} {size:,.0f}" for name, size in sizes.items())
    return f"document {stored['avgObjSize']:,} B, indexes {sum(sizes.values()):,.0f} B a customer: {each}"


def creates(database: Database[Document], count: int) -> float:
    """Return the median milliseconds of one creation in the repository."""
    (member,) = MembershipRepository(database).all_of(ORGANIZATION)
    customers = CustomerBatchRepository(database, member.scope, WRITER)
    times = []
    for number in range(count, count + CREATES):
        own = customer(number)
        began = time.perf_counter()
        customers.add(own)
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def rows(client: FlaskClient, database: Database[Document], examined: Examined, rounds: int) -> Iterator[str]:
    """Yield a row for each kind of list: the most it examined and sorted, and how long it took."""
    for name, queries in LISTS.items():
        times, keys, documents, found = [], 0, 0, 0
        for query in queries:
            for _ in range(rounds):
                examined.finds.clear()
                began = time.perf_counter()
                response = client.get(customers_url(), query_string={"limit": PAGE, **query}, headers=bearer())
                times.append(1000 * (time.perf_counter() - began))
                assert response.status_code == 200, response.text
            found += len(response.get_json()["data"])
            (find,) = examined.finds
            asked = {each: find[each] for each in ("find", "filter", "sort", "limit", "hint")}
            plan = database.command("explain", asked, verbosity="executionStats")["executionStats"]
            keys, documents = max(keys, plan["totalKeysExamined"]), max(documents, plan["totalDocsExamined"])
        p95 = quantiles(times, n=20)[-1]
        yield f"| {name} | {found / len(queries):.0f} | {keys:,} | {documents:,} | {median(times):.1f} | {p95:.1f} |"


def main(count: int, rounds: int) -> None:
    """Measure, and print what was measured."""
    server, examined = mongod.Mongod(2), Examined()
    server.start()
    try:
        with pymongo.MongoClient[dict[str, Any]](server.uri, w="majority", event_listeners=[examined]) as connection:
            database = connection["searching"]
            ensure_indexes(database)
            MembershipRepository(database).set_role(MEMBER, ORGANIZATION, "admin")
            fill(database, count)
            sys.stdout.write(f"{weights(database)}\n")
            sys.stdout.write(f"one creation: {creates(database, count):.2f} ms at the median\n\n")
            sys.stdout.write(HEADER)
            quiet = replace(settings(), server=ServerSettings(log_level="warning"))
            client = create_app(quiet, database).test_client()
            for row in rows(client, database, examined, rounds):
                sys.stdout.write(f"{row}\n")
    finally:
        server.close()


def _pick(words: str, skew: float) -> str:
    """Return one of the words; the greater the skew, the more often one of the first."""
    choice = words.split()
    return choice[int(len(choice) * CHANCE.random() ** skew)]


def _surname() -> str:
    return CHANCE.choice(RARE) if CHANCE.random() < 0.15 else _pick(SURNAMES, 1.5)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
