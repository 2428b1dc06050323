"""Every setting is read, and a missing or wrong one is named without its value."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.errors import SettingsError
from customer_service.settings import (
    GatewaySettings,
    HistorySettings,
    JwtSettings,
    MongoSettings,
    ServerSettings,
    Settings,
    tracing,
)

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef0123456789abcdef"
LEAST = {"MONGODB_URI": "mongodb://db:27017", "JWT_SECRET": SECRET}
PEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"


def test_defaults() -> None:
    assert Settings.from_environment(LEAST) == Settings(
        MongoSettings("mongodb://db:27017", "customer_service", 2000),
        JwtSettings(secret=SECRET, leeway_seconds=0),
        ServerSettings(port=3001, workers=None, drain_seconds=5.0, log_level="info"),
    )


def test_every_setting_is_read() -> None:
    environ = {
        "MONGODB_URI": "mongodb+srv://user:pass@db.example",
        "MONGODB_DATABASE": "other",
        "MONGODB_TIMEOUT_MS": "500",
        "JWT_JWKS_URL": "https://issuer.example/keys",
        "JWT_ALGORITHMS": "RS256, ES256",
        "JWT_ISSUER": "https://issuer.example/",
        "JWT_AUDIENCE": "customers",
        "JWT_AUDIENCE_CLAIM": "client_id",
        "JWT_LEEWAY_SECONDS": "5",
        "PORT": "80",
        "WEB_CONCURRENCY": "4",
        "DRAIN_SECONDS": "0.5",
        "LOG_LEVEL": "DEBUG",
        "RATE_LIMIT_PER_MINUTE": "600",
        "HISTORY_DAYS": "1825",
        "TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16 2001:db8::/32",
        "CORS_ALLOWED_ORIGINS": "https://app.example, http://localhost:5173, https://[::1]:8443",
        "UNRELATED": "x",
    }
    assert Settings.from_environment(environ) == Settings(
        MongoSettings("mongodb+srv://user:pass@db.example", "other", 500),
        JwtSettings(
            jwks_url="https://issuer.example/keys",
            algorithms=("RS256", "ES256"),
            issuer="https://issuer.example/",
            audience="customers",
            audience_claim="client_id",
            leeway_seconds=5,
        ),
        ServerSettings(port=80, workers=4, drain_seconds=0.5, log_level="debug", rate_limit_per_minute=600),
        gateway=GatewaySettings(
            (ip_network("10.0.0.5/32"), ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")),
            ("https://app.example", "http://localhost:5173", "https://[::1]:8443"),
        ),
        history=HistorySettings(1825),
    )


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "4001")
    assert ServerSettings.from_environment().port == 4001


def test_a_blank_variable_counts_as_absent() -> None:
    environ = LEAST | {"PORT": "", "JWT_ISSUER": " ", "JWT_PUBLIC_KEY": ""}
    assert Settings.from_environment(environ) == Settings.from_environment(LEAST)


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector/otlp/"}, "https://collector/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces/here"}, "http://traces/here"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/c/"},
            "http://b/c/",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_the_endpoint_of_traces(environ: dict[str, str], endpoint: str | None) -> None:
    assert Settings.from_environment(LEAST | environ).tracing.endpoint == endpoint


def test_an_endpoint_without_the_otel_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = LEAST | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    monkeypatch.setattr(tracing, "EXPORTER", "opentelemetry.exporter.none.of.ours")
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: needs the extra customer-service\[otel\]"):
        Settings.from_environment(asked)
    monkeypatch.setattr(tracing, "EXPORTER", "customer_service.none")
    with pytest.raises(SettingsError):
        Settings.from_environment(asked)
    assert Settings.from_environment(asked | {"OTEL_SDK_DISABLED": "true"}).tracing.endpoint is None


def test_a_secret_keeps_its_spaces() -> None:
    assert Settings.from_environment(LEAST | {"JWT_SECRET": f" {SECRET} "}).jwt.secret == f" {SECRET} "


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"MONGODB_URI": None}, ["MONGODB_URI"]),
        ({"MONGODB_URI": "postgres://x"}, ["MONGODB_URI"]),
        ({"MONGODB_URI": "xmongodb://x"}, ["MONGODB_URI"]),
        ({"MONGODB_DATABASE": "a b"}, ["MONGODB_DATABASE"]),
        ({"MONGODB_DATABASE": "a\n"}, ["MONGODB_DATABASE"]),
        ({"MONGODB_DATABASE": "x" * 64}, ["MONGODB_DATABASE"]),
        ({"MONGODB_DATABASE": "ñ" * 32}, ["MONGODB_DATABASE"]),
        ({"MONGODB_DATABASE": "local"}, ["MONGODB_DATABASE"]),
        ({"MONGODB_URI": "mongodb://db "}, ["MONGODB_URI"]),
        ({"MONGODB_TIMEOUT_MS": "0"}, ["MONGODB_TIMEOUT_MS"]),
        ({"MONGODB_TIMEOUT_MS": "2s"}, ["MONGODB_TIMEOUT_MS"]),
        ({"JWT_SECRET": None}, ["JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL"]),
        ({"JWT_PUBLIC_KEY": PEM}, ["JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL"]),
        ({"JWT_SECRET": SECRET[:31]}, ["JWT_SECRET"]),
        ({"JWT_SECRET": None, "JWT_PUBLIC_KEY": "/no/such/file"}, ["JWT_PUBLIC_KEY"]),
        ({"JWT_SECRET": None, "JWT_PUBLIC_KEY": "/"}, ["JWT_PUBLIC_KEY"]),
        ({"JWT_SECRET": None, "JWT_JWKS_URL": "http://issuer.example/keys"}, ["JWT_JWKS_URL"]),
        ({"JWT_SECRET": None, "JWT_JWKS_URL": "http://127.0.0.1.example/"}, ["JWT_JWKS_URL"]),
        ({"JWT_SECRET": None, "JWT_JWKS_URL": "file:///etc/passwd"}, ["JWT_JWKS_URL"]),
        ({"JWT_SECRET": None, "JWT_JWKS_URL": "https://"}, ["JWT_JWKS_URL"]),
        ({"JWT_SECRET": None, "JWT_JWKS_URL": "https://[x"}, ["JWT_JWKS_URL"]),
        *(
            ({"JWT_SECRET": None, "JWT_JWKS_URL": f"https://{url}"}, ["JWT_JWKS_URL"])
            for url in ("h:abc/x", "h:99999/x", "h:0/x", "h/x y", "ñ.example/x", "h/é", "h/\x7f")
        ),
        ({"JWT_LEEWAY_SECONDS": "-1"}, ["JWT_LEEWAY_SECONDS"]),
        ({"JWT_AUDIENCE_CLAIM": "client_id"}, ["JWT_AUDIENCE_CLAIM: needs JWT_AUDIENCE"]),
        ({"JWT_AUDIENCE_CLAIM": "sub", "JWT_AUDIENCE": "x"}, ["JWT_AUDIENCE_CLAIM: has another meaning"]),
        ({"JWT_AUDIENCE_CLAIM": "iss", "JWT_AUDIENCE": "x"}, ["JWT_AUDIENCE_CLAIM: has another meaning"]),
        ({"PORT": "0"}, ["PORT"]),
        ({"PORT": "65536"}, ["PORT"]),
        ({"WEB_CONCURRENCY": "0"}, ["WEB_CONCURRENCY"]),
        ({"DRAIN_SECONDS": "nan"}, ["DRAIN_SECONDS"]),
        ({"LOG_LEVEL": "loud"}, ["LOG_LEVEL"]),
        ({"RATE_LIMIT_PER_MINUTE": "0"}, ["RATE_LIMIT_PER_MINUTE"]),
        ({"HISTORY_DAYS": "0"}, ["HISTORY_DAYS"]),
        ({"HISTORY_DAYS": "24001"}, ["HISTORY_DAYS"]),
        ({"HISTORY_DAYS": "a year"}, ["HISTORY_DAYS"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector "}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector?x=1"}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:otlp"}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "grpc://collector"}, ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]),
        ({"OTEL_SDK_DISABLED": "perhaps"}, ["OTEL_SDK_DISABLED"]),
        ({"TRUSTED_PROXIES": "*"}, ["TRUSTED_PROXIES"]),
        ({"TRUSTED_PROXIES": "gateway.internal"}, ["TRUSTED_PROXIES"]),
        ({"TRUSTED_PROXIES": "10.0.0.5/8"}, ["TRUSTED_PROXIES"]),
        ({"TRUSTED_PROXIES": "10.0.0.5, 0.0.0.0/0"}, ["TRUSTED_PROXIES"]),
        ({"TRUSTED_PROXIES": "::/0"}, ["TRUSTED_PROXIES"]),
        ({"TRUSTED_PROXIES": "::ffff:0.0.0.0/96"}, ["TRUSTED_PROXIES"]),
        ({"CORS_ALLOWED_ORIGINS": "*"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"CORS_ALLOWED_ORIGINS": "null"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"CORS_ALLOWED_ORIGINS": "https://app.example/"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"CORS_ALLOWED_ORIGINS": "https://*.example"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"CORS_ALLOWED_ORIGINS": "https://App.example"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"CORS_ALLOWED_ORIGINS": "https://app.example:443"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"CORS_ALLOWED_ORIGINS": "app.example"}, ["CORS_ALLOWED_ORIGINS"]),
        ({"PORT": "x", "MONGODB_URI": None, "JWT_SECRET": "short"}, ["PORT", "MONGODB_URI", "JWT_SECRET"]),
    ],
)
def test_every_wrong_setting_is_named_in_one_line(changes: dict[str, str | None], names: list[str]) -> None:
    environ = {name: value for name, value in (LEAST | changes).items() if value is not None}
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environ)
    message = str(caught.value)
    assert all(name in message for name in names)
    assert "\n" not in message


class TestFiles:
    """A setting may be in a file, whose path is in NAME_FILE."""

    def test_each_setting_may_be_in_a_file(self, tmp_path: Path) -> None:
        files = {name: tmp_path / name for name in (*LEAST, "MONGODB_TIMEOUT_MS")}
        for name, value in {**LEAST, "MONGODB_TIMEOUT_MS": "500"}.items():
            files[name].write_text(f"{value}\r\n")
        read = Settings.from_environment({f"{name}_FILE": str(file) for name, file in files.items()})
        assert read == Settings.from_environment({**LEAST, "MONGODB_TIMEOUT_MS": "500"})

    def test_a_byte_order_mark_is_no_part_of_a_setting(self, tmp_path: Path) -> None:
        (tmp_path / "uri").write_text(LEAST["MONGODB_URI"], "utf-8-sig")
        assert MongoSettings.from_environment({"MONGODB_URI_FILE": str(tmp_path / "uri")}).uri == LEAST["MONGODB_URI"]

    def test_a_space_is_part_of_a_secret(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text(f" {SECRET} \n")
        read = JwtSettings.from_environment({"JWT_SECRET_FILE": str(tmp_path / "secret")})
        assert read.secret == f" {SECRET} "

    @pytest.mark.parametrize("content", [None, b"\xff" * 40])
    def test_a_file_that_cannot_be_read(self, tmp_path: Path, content: bytes | None) -> None:
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match=r"^JWT_SECRET_FILE: names no text file that can be read$"):
            JwtSettings.from_environment({"JWT_SECRET_FILE": str(file)})

    def test_a_blank_file_is_refused(self, tmp_path: Path) -> None:
        """It was named on purpose: without the issuer, the tokens of any issuer would be accepted."""
        (tmp_path / "blank").write_text("\n")
        with pytest.raises(SettingsError, match=r"^JWT_ISSUER_FILE: names an empty file$"):
            JwtSettings.from_environment({"JWT_SECRET": SECRET, "JWT_ISSUER_FILE": str(tmp_path / "blank")})

    def test_a_setting_and_its_file(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"^JWT_SECRET_FILE: set it or JWT_SECRET, and not both$"):
            JwtSettings.from_environment({"JWT_SECRET": SECRET, "JWT_SECRET_FILE": str(tmp_path)})

    def test_a_misspelt_setting_in_a_file(self) -> None:
        with pytest.raises(SettingsError, match="JWT_SECRT_FILE: is not a setting"):
            JwtSettings.from_environment({"JWT_SECRET": SECRET, "JWT_SECRT_FILE": "/x"})


MISSPELT = {
    "JWT_ISUER": "JWT_ISSUER",
    "JWT_AUDIENCES": "JWT_AUDIENCE",
    "JWT_JWKS_URI": "JWT_JWKS_URL",
    "JWT_issuer": "JWT_ISSUER",
    "JWT_": "JWT_SECRET",
    "MONGODB_DATABSE": "MONGODB_DATABASE",
    "MONGODB_URL": "MONGODB_URI",
    "MEMBERSHIP_CACHE_SECOND": "MEMBERSHIP_CACHE_SECONDS",
    "TOKEN_CACHE_ENTRY": "TOKEN_CACHE_ENTRIES",
    "CUSTOMER_CACHE_SIZE": "CUSTOMER_CACHE_ENTRIES",
    "RATE_LIMIT_PER_SECOND": "RATE_LIMIT_PER_MINUTE",
    "DRAIN_SECOND": "DRAIN_SECONDS",
    "WEB_CONCURENCY": "WEB_CONCURRENCY",
    "LOG_LEVELS": "LOG_LEVEL",
    "HISTORY_YEARS": "HISTORY_DAYS",
    "TRUSTED_PROXY": "TRUSTED_PROXIES",
    "CORS_ALLOWED_ORIGIN": "CORS_ALLOWED_ORIGINS",
}


@pytest.mark.parametrize(("name", "nearest"), MISSPELT.items(), ids=MISSPELT)
def test_a_misspelt_setting_stops_the_start_with_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(LEAST | {name: "hunter2"})
    assert str(caught.value) == f"{name}: is not a setting; the nearest name is {nearest}"


def test_misspelt_and_wrong_settings_are_named_together() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(LEAST | {"JWT_ISUER": "x", "JWT_AUDIANCE": "x", "MONGODB_TIMEOUT": "1", "PORT": "x"})
    message = str(caught.value)
    assert all(name in message for name in ("JWT_ISUER:", "JWT_AUDIANCE:", "MONGODB_TIMEOUT:", "PORT:"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUSTOMER_SERVICE_SERVICE_HOST", "10.0.0.1"),
        ("CUSTOMER_SERVICE_SERVICE_PORT", "80"),
        ("CUSTOMER_SERVICE_SERVICE_PORT_HTTP", "80"),
        ("CUSTOMER_SERVICE_PORT", "tcp://10.0.0.1:80"),
        ("CUSTOMER_SERVICE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("CUSTOMER_SERVICE_PORT_80_TCP_PROTO", "tcp"),
        ("CUSTOMER_SERVICE_PORT_80_TCP_PORT", "80"),
        ("CUSTOMER_SERVICE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("MONGODB_SERVICE_HOST", "10.0.0.1"),
        ("MONGODB_PORT", "tcp://10.0.0.1:27017"),
        ("MONGODB_PORT_27017_TCP_ADDR", "10.0.0.1"),
        ("OTEL_SERVICE_NAME", "customers"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x=y"),
        ("MONGO_URI", "mongodb://another"),
        ("CUSTOMERS_URL", "http://localhost:3001"),
        ("JWT", "x"),
        ("MY_JWT_ISUER", "x"),
        ("JWT_ISUER", " "),
    ],
)
def test_a_variable_of_other_software_is_ignored(name: str, value: str) -> None:
    assert Settings.from_environment(LEAST | {name: value}) == Settings.from_environment(LEAST)


def test_a_misspelt_port_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^MONGODB_PORT: is not a setting"):
        Settings.from_environment(LEAST | {"MONGODB_PORT": "27017"})


@pytest.mark.parametrize(
    ("given", "any_audience"),
    [
        ({"jwks_url": "https://issuer.example/keys"}, True),
        ({"jwks_url": "https://issuer.example/keys", "issuer": "x"}, False),
        ({"jwks_url": "https://issuer.example/keys", "audience": "x"}, False),
        ({"secret": SECRET}, False),
        ({"public_key": PEM}, False),
    ],
    ids=str,
)
def test_a_jwk_set_without_issuer_and_audience_accepts_any_audience(given: dict[str, str], any_audience: bool) -> None:
    assert JwtSettings(**given).accepts_any_audience is any_audience  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://localhost:8080/keys", "http://127.0.0.1/keys", "http://[::1]:1/keys"])
def test_a_jwk_set_on_this_machine_may_use_http(url: str) -> None:
    assert JwtSettings.from_environment({"JWT_JWKS_URL": url}).jwks_url == url


@pytest.mark.parametrize("form", [PEM, PEM.replace("\n", "\\n")])
def test_a_public_key_in_the_environment(form: str) -> None:
    assert JwtSettings.from_environment({"JWT_PUBLIC_KEY": form}).public_key == PEM


def test_a_public_key_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    assert JwtSettings.from_environment({"JWT_PUBLIC_KEY": str(tmp_path / "key.pem")}).public_key == PEM


@pytest.mark.parametrize(
    "secretive", [{"MONGODB_URI": "mongodb://u:hunter2@db"}, {"JWT_SECRET": "hunter2" * 8}, {"PORT": "hunter2"}]
)
def test_no_error_shows_a_value(secretive: dict[str, Any]) -> None:
    try:
        shown = repr(Settings.from_environment(LEAST | secretive))
    except SettingsError as error:
        shown = str(error)
    assert "hunter2" not in shown
