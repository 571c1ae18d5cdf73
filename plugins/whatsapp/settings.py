"""The deployment's own settings of this channel: `PATCHBAY_WHATSAPP_*`."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

GRAPH_URL: Final = "https://graph.facebook.com"
GRAPH_VERSION: Final = "v25.0"

SecretText = Annotated[str, msgspec.Meta(extra={"secret": True})]
"""Text that no listing of the settings may show."""


class WhatsAppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One Meta application serves every business of this host.

    Attributes:
        app_id: the Meta application's id.
        app_secret: signs the provider's webhooks; without it every webhook is refused.
        verify_token: the word Meta repeats when the webhook address is saved.
        graph_url: Meta's address, or a stand-in's; in production it must be https.
        graph_version: the version of Meta's interface, for example `v25.0`.
        config_id: the login configuration of Embedded Signup.
        appsecret_proof: whether calls carry a proof of the app secret; switch it on together
            with "Require App Secret" in Meta's dashboard.
        environment: the host's environment, handed over by the host.
    """

    app_id: str = ""
    app_secret: SecretText = ""
    verify_token: SecretText = ""
    graph_url: str = GRAPH_URL
    graph_version: Annotated[str, msgspec.Meta(pattern=r"^v\d{1,3}\.\d{1,2}$")] = GRAPH_VERSION
    config_id: str = ""
    appsecret_proof: bool = False
    environment: str = "development"

    def __post_init__(self) -> None:
        """Refuse an address that would hand tokens to anybody who listens."""
        address = urlsplit(self.graph_url)
        if address.scheme not in {"https", "http"} or not address.hostname:
            raise ValueError("graph_url must be an http or https address")
        if address.query or address.fragment or address.username:
            raise ValueError("graph_url must hold neither user, query nor fragment")
        if address.scheme == "http" and self.environment == "production":
            raise ValueError("graph_url must be https in production")
        if self.appsecret_proof and not self.app_secret:
            raise ValueError("appsecret_proof needs app_secret")

    def __repr__(self) -> str:
        """Show the address and what is set, never a secret."""
        secrets = {"app_secret": self.app_secret, "verify_token": self.verify_token}
        given = ", ".join(f"{name}={'***' if value else ''!r}" for name, value in secrets.items())
        return f"WhatsAppSettings(graph_url={self.graph_url!r}, app_id={self.app_id!r}, {given})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """Show the same to rich, which would walk through the fields."""
        return [("graph_url", self.graph_url), ("app_id", self.app_id)]
