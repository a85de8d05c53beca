"""Settings: frozen pydantic models, read from TOML, changed by ``key.sub=value``, refused with the nearest name."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from serenade.core.errors import SettingsError
from serenade.core.names import did_you_mean

__all__ = ["Settings", "dump_toml", "load_toml", "make_settings", "merge", "parse_override"]

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys and numbers that are not finite forbidden, defaults checked too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, protected_namespaces=()
    )


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        SettingsError: the file is missing, cannot be read or is not TOML; the message names line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError("there is no such settings file", where=path) from error
    except OSError as error:
        raise SettingsError("the settings file cannot be read", where=path, found=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("the settings file is not valid TOML", where=path, found=str(error)) from error


def dump_toml(values: Mapping[str, Any]) -> str:
    """TOML text; keys whose value is None are left out, because TOML has no null."""
    return tomli_w.dumps(_without_none(values))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def parse_override(text: str) -> dict[str, Any]:
    """``"training.epochs=3"`` as nested tables; the value is read as TOML, else taken as text.

    Raises:
        SettingsError: there is no ``=``, or no key before it.
    """
    key, equals, raw = (part.strip() for part in text.partition("="))
    if not equals or not all(part.strip() for part in key.split(".")):
        raise SettingsError("an override must look like key.sub=value", found=repr(text))
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    for part in reversed(key.split(".")):
        value = {part.strip(): value}
    return dict(value)


def merge(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables laid over each other, later ones on top; nothing is modified."""
    merged = dict(base)
    for change in changes:
        for key, value in change.items():
            both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = merge(merged[key], value) if both_tables else value
    return merged


def make_settings(
    cls: type[S], values: Mapping[str, Any], overrides: Iterable[str] = (), *, where: str = "settings"
) -> S:
    """Validated settings from tables and ``key=value`` overrides; what they leave out has the defaults of `cls`.

    Raises:
        SettingsError: an unknown key (the nearest known one is named), a value out of bounds or of another
            type.
    """
    merged = merge(values, *(parse_override(text) for text in overrides))
    try:
        return cls.model_validate(_over_defaults(cls, merged))
    except ValidationError as error:
        raise _explain(cls, error, where) from error


def _over_defaults(cls: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values laid over the defaults of nested settings, so that a part of a table leaves the rest of it as it was.

    Pydantic alone fills the rest from the nested class and forgets the defaults that the outer class has set for it.
    """
    defaults = {name: field.default for name, field in cls.model_fields.items()}
    return {name: _lay_over(defaults.get(name), value) for name, value in values.items()}


def _lay_over(default: Any, value: Any) -> Any:
    if not isinstance(default, BaseModel) or not isinstance(value, Mapping):
        return value
    parts = {name: getattr(default, name) for name in type(default).model_fields}
    if value.get("kind", parts.get("kind")) != parts.get("kind"):  # another member of a union has its own defaults
        return value
    return parts | {name: _lay_over(parts.get(name), part) for name, part in value.items()}


def _explain(cls: type[Settings], error: ValidationError, where: str) -> SettingsError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(cls, first["loc"][:-1])
        return SettingsError(
            f"unknown key {key!r}{more}",
            where=where,
            expected=f"one of {', '.join(sorted(known))}" if known else None,
            hint=did_you_mean(str(first["loc"][-1]), known),
        )
    return SettingsError(f"{key or 'settings'}: {first['msg']}{more}", where=where, found=repr(first["input"]))


def _known_keys(cls: type[BaseModel], location: tuple[str | int, ...]) -> set[str]:
    """The keys that the model at a location would take; empty where it cannot be told."""
    models: list[type[BaseModel]] = [cls]
    for part in location:
        step: list[type[BaseModel]] = []
        for model in models:
            found = model.model_fields.get(str(part))
            step += _models_in(found.annotation) if found else []
        models = step or models  # a union adds its tag to the location: stay where we are
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
