""".streamlit/config.toml is a security file: what it must say, whatever else it says."""

import tomllib
from pathlib import Path

import pytest

SETTINGS = tomllib.loads((Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text())


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("server", "address", "127.0.0.1"),
        ("server", "allowedHosts", ["localhost", "127.0.0.1"]),
        ("server", "maxUploadSize", 50),
        ("browser", "gatherUsageStats", False),
        ("client", "toolbarMode", "viewer"),
        ("client", "showErrorDetails", "stacktrace"),
        ("runner", "magicEnabled", False),
    ],
)
def test_the_server_is_closed_by_default(section: str, name: str, value: object):
    assert SETTINGS[section][name] == value


def test_protections_that_are_on_by_default_are_left_on():
    assert not {"enableXsrfProtection", "enableCORS", "enableAgentApi"} & set(SETTINGS["server"])


def test_streamlit_knows_every_setting():
    from streamlit import config

    for section in ("server", "browser", "client", "runner"):
        options = {name.lower() for name in config.get_options_for_section(section)}
        assert {name.lower() for name in SETTINGS[section]} <= options
