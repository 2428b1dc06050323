"""The service, but asking an issuer again after a quarter of a second in place of half a minute."""

from __future__ import annotations

from unittest.mock import patch

from gunicorn.app.wsgiapp import run

from customer_service.auth import jwks

if __name__ == "__main__":
    with patch.object(jwks, "RETRY_SECONDS", 0.25):
        run()
