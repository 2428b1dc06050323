"""The settings of tracing: the variables of OpenTelemetry."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup, http_url

EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def _check_collector(url: str) -> None:
    parts = http_url(url)
    if parts is None or parts.query:
        raise ValidationError("must be an http:// or https:// URL, such as http://localhost:4318")


class TracingSettingsSchema(EnvironmentSchema):
    """The environment variables of TracingSettings: those of OpenTelemetry's OTLP exporter."""

    common = fields.String(data_key="OTEL_EXPORTER_OTLP_ENDPOINT", validate=_check_collector)
    traces = fields.String(data_key="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", validate=_check_collector)
    disabled = fields.Boolean(data_key="OTEL_SDK_DISABLED")

    @post_load
    def _choose(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Choose the endpoint by the exporter's specification: the path of traces is appended to the common one."""
        name = "traces" if "traces" in data else "common"
        if name not in data or data.get("disabled"):
            return {}
        if not _is_installed(EXPORTER):
            needed = "needs the extra customer-service[otel]"
            raise ValidationError(needed, self.fields[name].data_key or name)
        return {"endpoint": data[name] if name == "traces" else f"{data[name].rstrip('/')}/v1/traces"}


@dataclass(frozen=True, slots=True)
class TracingSettings(SettingsGroup):
    """The URL that receives traces by OTLP over HTTP; None disables tracing."""

    SCHEMA: ClassVar = TracingSettingsSchema()

    endpoint: str | None = None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
