"""Four times the load that the service can carry, and clients that send a byte a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import overload
from tests.support import constant_rate, slow_clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Server

SECONDS = 20
CLIENTS = 1000
SLOW_CLIENTS = 200
FLAT = 1.1


def test_an_overload_is_refused_and_admitted_requests_are_in_time(
    server: Server, mongodb_of_session: Database[Document], measured: Callable[[str, str], None]
) -> None:
    seen = overload.overload(server, mongodb_of_session, SECONDS)
    figures = overload.hold_promises(seen)
    assert seen.growth < FLAT
    measured("four times the load: admitted requests keep their deadline, the others get 503 with Retry-After", figures)


def test_a_probe_is_prompt_if_the_processor_is_what_is_short(
    server: Server, measured: Callable[[str, str], None]
) -> None:
    alive = constant_rate.probe(server.port, constant_rate.liveness_probe(), SECONDS)
    read = constant_rate.send_when_answered(server.port, CLIENTS, SECONDS)
    liveness = alive()
    assert set(read.answers) <= {"200", "503", "503 overloaded"}
    assert read.without_retry_after == []
    assert set(liveness.answers) == {"200"}
    slowest = max(read.worst.values())
    assert liveness.worst["200"] < slowest / 2  # it does not wait in their queue
    measured(
        "1,000 clients that read on new connections, too many for the processor: a probe does not wait with them",
        f"{dict(read.answers)}, at worst {slowest:.2f} s; /livez at worst {liveness.worst['200'] * 1000:.0f} ms",
    )


def test_slow_clients_delay_no_other(server: Server, measured: Callable[[str, str], None]) -> None:
    with slow_clients.SlowClients(server.port, SLOW_CLIENTS):
        alive = constant_rate.probe(server.port, constant_rate.liveness_probe(), SECONDS)
        read = constant_rate.probe(server.port, constant_rate.read_customer(), SECONDS)()
    assert set(read.answers) == set(alive().answers) == {"200"}
    assert read.worst["200"] < overload.CLIENT_SECONDS
    measured(
        "clients that send a byte a second delay no other client",
        f"{SLOW_CLIENTS} of them for {SECONDS} s: {read.answers['200']} reads by others, at worst "
        f"{read.worst['200'] * 1000:.0f} ms; /livez at worst {alive().worst['200'] * 1000:.0f} ms",
    )
