"""Run the service with a pause of a quarter of a second between two fetches of the JWK set, in place of 30 seconds."""

from __future__ import annotations

from unittest.mock import patch

from gunicorn.app.wsgiapp import run

from customer_service.auth import jwks

if __name__ == "__main__":
    with patch.object(jwks, "RETRY_SECONDS", 0.25):
        run()
