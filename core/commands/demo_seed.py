"""What the demo finds when it starts: two salons, their accounts, users and a key."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec

from core.access.keys import create_key, list_keys, revoke_key
from core.access.tables import Role
from core.access.users import add_membership, change_password, create_user, find_user
from core.businesses.store import BusinessIn, add_business, find_business
from core.commands.connecting import connect_business
from core.commands.frame import CommandError
from core.errors import NotFoundError
from core.ids import BusinessId
from plugins.whatsapp.pack import creation, read_pack

if TYPE_CHECKING:
    from pathlib import Path

    from core.commands.frame import House

KEY_NAME: Final = "demo"
SCOPES: Final = (
    "events:write",
    "notifications:read",
    "consents:read",
    "consents:write",
    "config:write",
)
GRAPH_VERSION: Final = "v25.0"


class Secrets(msgspec.Struct, frozen=True):
    """What a demo made up at its first start and needs again at the next one."""

    app_secret: str
    verify_token: str
    token: str
    passwords: dict[str, str]


class Salon(msgspec.Struct, frozen=True):
    """A business of the demo and its invented account."""

    ref: str
    name: str
    owner: str
    waba_id: str
    phone_number_id: str
    phone: str


AURORA: Final = Salon(
    ref="salone-aurora",
    name="Salone Aurora",
    owner="aurora",
    waba_id="102290129340398",
    phone_number_id="106540352242922",
    phone="+39 02 5550 0101",
)
BELLA: Final = Salon(
    ref="studio-bella",
    name="Studio Bella",
    owner="bella",
    waba_id="102290129340777",
    phone_number_id="106540352242777",
    phone="+39 06 5550 0102",
)
SALONS: Final = (AURORA, BELLA)
OPERATOR: Final = "operator"


def keep_secrets(folder: Path) -> Secrets:
    """Return the demo's made-up secrets; made once, readable by their owner only."""
    path = folder / "demo.json"
    if path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    made = Secrets(
        app_secret=secrets.token_hex(16),
        verify_token=secrets.token_urlsafe(16),
        token=f"EAA{secrets.token_urlsafe(48)}",
        passwords={
            name: secrets.token_urlsafe(9) for name in (*(one.owner for one in SALONS), OPERATOR)
        },
    )
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(made))
    return made


def open_accounts(simulator: str, kept: Secrets) -> None:
    """Give each salon its account, number and approved templates at the simulator."""
    packs = [read_pack(language) for language in ("en", "it")]
    templates = [
        _approved(creation(name, pack.language, template))
        for pack in packs
        for name, template in pack.templates.items()
    ]
    for salon in SALONS:
        answer = httpx.post(
            f"{simulator}/simulator/accounts",
            json={
                "waba_id": salon.waba_id,
                "phone_number_id": salon.phone_number_id,
                "display_phone_number": salon.phone,
                "verified_name": salon.name,
                "token": kept.token + salon.owner,
                "templates": templates,
            },
            timeout=10,
        )
        if not answer.is_success:
            raise CommandError(f"The simulator refused {salon.name}: {answer.text[:300]}")


async def seed(house: House, kept: Secrets) -> str:
    """Make, or bring up to date, everything behind the front door; returns a fresh API key."""
    for salon in SALONS:
        business_id = await _business(house, salon)
        checks = await connect_business(
            house,
            house.registry.plugins["whatsapp"],
            salon.ref,
            {
                "waba-id": salon.waba_id,
                "phone-number-id": salon.phone_number_id,
                "token": kept.token + salon.owner,
            },
        )
        if failed := [one for one in checks if not one.passed]:
            raise CommandError(f"{salon.name} could not be connected: {failed[0].detail}")
        await _user(house, salon.owner, kept, Role.OWNER, business_id)
    await _user(house, OPERATOR, kept, Role.PLATFORM_OPERATOR, None)
    return await _key(house)


def _approved(draft: dict[str, Any]) -> dict[str, Any]:
    """Return what the simulator keeps of a template once Meta's people have said yes."""
    kept = ("name", "language", "category", "parameter_format", "components")
    return {name: draft[name] for name in kept} | {"status": "APPROVED"}


async def _business(house: House, salon: Salon) -> BusinessId:
    async with house.database.platform() as transaction:
        found = await find_business(transaction, salon.ref)
        if found is None:
            found = await add_business(
                transaction,
                salon.ref,
                BusinessIn(
                    name=salon.name, timezone="Europe/Rome", default_locale="it", country="IT"
                ),
                mode="live",
                now=house.clock.now(),
            )
    if found is None:
        raise AssertionError("a business was neither found nor made")
    return BusinessId(found.id)


async def _user(
    house: House, name: str, kept: Secrets, role: Role, business_id: BusinessId | None
) -> None:
    password = kept.passwords[name]
    try:
        user_id = await find_user(house.database, name)
        await change_password(house.database, user_id, password)
    except NotFoundError:
        email = f"{name}@salons.example"
        user_id = await create_user(house.database, username=name, password=password, email=email)
    await add_membership(house.database, user_id, role, business_id)


async def _key(house: House) -> str:
    """Make a key for this run; those of earlier runs are taken out of use."""
    async with house.database.engine() as transaction:
        for old in await list_keys(transaction):
            if old.name == KEY_NAME and old.revoked_at is None:
                await revoke_key(transaction, old.key_id, now=house.clock.now())
        made = await create_key(transaction, house.vault, name=KEY_NAME, scopes=SCOPES)
    return made.plaintext.reveal()
