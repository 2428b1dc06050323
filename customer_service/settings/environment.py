"""Settings from environment variables: a group of them, and the schema that reads it."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from urllib.parse import SplitResult, urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, validates_schema

from customer_service.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


SERVICE_VARIABLE = re.compile(r".*_SERVICE_(HOST|PORT(_.*)?)|.*_PORT_[0-9]+_.*")
"""The variables that Kubernetes sets for each service, unless the pod has `enableServiceLinks: false`."""

FILE = "_FILE"
"""The end of the name of a variable that holds the path of a file with the setting, such as a mounted secret."""

FOREIGN_PREFIXES = {"OTEL_"}
"""The prefixes of variables that other libraries read too: OpenTelemetry has many more than this service reads."""


class SettingsGroup:
    """A group of settings, with the schema that reads them from the environment."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings of the group, from the file of NAME_FILE for a NAME that has one; raises SettingsError."""
        try:
            return cls(**cls.SCHEMA.load(_given(environ, cls.SCHEMA)))
        except ValidationError as error:
            messages = cast("dict[str, list[str]]", error.messages)
            raise SettingsError("; ".join(f"{name}: {' '.join(messages[name])}" for name in sorted(messages))) from None


class EnvironmentSchema(Schema):
    """Reads one group of settings from the environment; a blank variable counts as absent.

    An unknown variable with the prefix of one of the group's settings is refused: it is probably a misspelt setting.
    """

    class Meta:
        unknown = EXCLUDE

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _no_misspelt_setting(self, _data: dict[str, Any], original: Mapping[str, str], **_: object) -> None:
        settings = [str(each.data_key) for each in self.fields.values()]
        prefixes = tuple({f"{name.partition('_')[0]}_" for name in settings if "_" in name} - FOREIGN_PREFIXES)
        unknown = [name for name in original if name.startswith(prefixes) and name not in settings]
        if problems := {name: _advice(name, settings) for name in unknown if not _is_injected(name, original[name])}:
            raise ValidationError(problems)


def _given(environ: Mapping[str, str], schema: Schema) -> dict[str, str]:
    """Return the variables that are not blank, and in place of each NAME_FILE the setting; raises ValidationError."""
    given = without_blanks(environ)
    for setting in (str(each.data_key) for each in schema.fields.values()):
        if path := given.pop(setting + FILE, None):
            if setting in given:
                raise ValidationError({setting + FILE: [f"set it or {setting}, and not both"]})
            given[setting] = _read(setting + FILE, path)
    return given


def _read(name: str, path: str) -> str:
    """Return the text of a file without the line end behind it."""
    try:
        text = Path(path).read_text("utf-8-sig").rstrip("\r\n")
    except (OSError, ValueError):
        raise ValidationError({name: ["names no text file that can be read"]}) from None
    if not text.strip():
        raise ValidationError({name: ["names an empty file"]})
    return text


def _advice(name: str, settings: list[str]) -> list[str]:
    (nearest,) = get_close_matches(name.upper(), settings, 1, cutoff=0)
    return [f"is not a setting; the nearest name is {nearest}"]


def _is_injected(name: str, value: str) -> bool:
    """Return whether Kubernetes or Docker sets this variable to describe another service."""
    return bool(SERVICE_VARIABLE.fullmatch(name)) or (name.endswith("_PORT") and "://" in value)


def without_blanks(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that count: a blank one is absent."""
    return {name: value for name, value in environ.items() if value.strip()}


def http_url(text: str) -> SplitResult | None:
    """Return the parts of an http or https URL, or None if the text is no such URL that can be sent as it is."""
    try:
        parts = urlsplit(text)
        is_port_valid = parts.port != 0
    except ValueError:
        return None
    is_sendable = is_port_valid and text.isascii() and text.isprintable() and " " not in text
    return parts if is_sendable and parts.scheme in {"http", "https"} and parts.hostname else None


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list that commas or spaces separate."""
    return tuple(text.replace(",", " ").split())
