"""`patchbay user` and `patchbay consent`: who signs in, and who agreed to be written to."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import rich_click as click

from core.commands.frame import (
    ACTOR,
    CommandError,
    House,
    ask_secret,
    business_option,
    example,
    fail,
    find_business,
    from_stdin,
    in_house,
    json_option,
    show,
)

if TYPE_CHECKING:
    from core.consent.ledger import ConsentState

# Stand here as words, so that `--help` needs no tables; a test compares them with the enums.
ROLES = (
    "owner",
    "manager",
    "viewer",
    "privacy_officer",
    "support",
    "platform_operator",
    "platform_admin",
)
SOURCES = ("web", "app", "whatsapp", "paper")
PURPOSES = ("transactional", "marketing")

_customer_option = click.option(
    "--customer", required=True, metavar="ID", help="The booking system's id of the person."
)
_channel_option = click.option("--channel", required=True, help="Such as whatsapp.")
_purpose_option = click.option(
    "--purpose", type=click.Choice(PURPOSES), default="transactional", show_default=True
)


@click.group(epilog=example("patchbay user create --help"))
def user() -> None:
    """Add people who sign in to the admin."""


@user.command(
    epilog=example(
        "patchbay user create anna@example.com --role owner --business salone-aurora",
        "patchbay user create ops --email ops@example.com --role platform_operator",
    )
)
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What they may do.")
@click.option("--business", "ref", metavar="ID", help="Where; not for roles of the platform.")
@click.option("--email", help="If the name is no e-mail address.")
@click.option("--language", default="en", show_default=True, help="Of the pages they see.")
@click.option("--password-stdin", is_flag=True, help="Read the password; else you are asked.")
@json_option
def create(
    username: str,
    role: str,
    ref: str | None,
    email: str | None,
    language: str,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Add the person USERNAME with one role."""
    from core.access.audit import record
    from core.access.roles import fits
    from core.access.tables import Role
    from core.access.users import add_membership, create_user
    from core.ids import BusinessId, new_uuid

    if fits(Role(role), BusinessId(new_uuid())) != bool(ref):
        needs = "belongs to the platform: leave --business out" if ref else "needs --business"
        raise click.UsageError(f"The role {role} {needs}.")
    address = email or (username if "@" in username else "")
    if not address:
        raise click.UsageError("Give --email, or an e-mail address as the name.")
    if password_stdin:
        password = from_stdin("password")
    else:
        password = ask_secret("password", "--password-stdin", confirm=True)

    async def work(house: House) -> None:
        business = await find_business(house, ref) if ref else None
        business_id = business.id if business else None
        user_id = await create_user(
            house.database, username=username, password=password, email=address, locale=language
        )
        await add_membership(house.database, user_id, Role(role), business_id)
        async with house.database.engine() as transaction:
            await record(
                transaction,
                business_id=business_id,
                actor=ACTOR,
                action="user.create",
                target=f"user:{user_id}",
                after={"role": role},
            )

    in_house(work)
    show(
        {"username": username, "role": role, "business": ref},
        as_json=as_json,
        words=f"{username} can sign in at /admin/ as {role.replace('_', ' ')}.",
    )


@click.group(epilog=example("patchbay consent grant --help"))
def consent() -> None:
    """Record and revoke what a customer agreed to."""


@consent.command(
    epilog=example(
        "patchbay consent grant --business salone-aurora --customer c-17 --channel whatsapp \\",
        "    --source web --text-version en-v1 --phone '+39 333 123 4567'",
    )
)
@business_option
@_customer_option
@_channel_option
@_purpose_option
@click.option("--source", type=click.Choice(SOURCES), required=True, help="Where it was given.")
@click.option("--text-version", required=True, help="Which sentence they saw, such as en-v1.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]),
    help="When; without a zone it is UTC, without an option it is now.",
)
@click.option("--proof-reference", help="Where the proof is kept; needed for paper.")
@click.option("--phone", help="Their number, if it is not known yet.")
@click.option("--first-name", help="Their first name, if it is not known yet.")
@json_option
def grant(
    ref: str,
    customer: str,
    channel: str,
    purpose: str,
    source: str,
    text_version: str,
    at: datetime | None,
    proof_reference: str | None,
    phone: str | None,
    first_name: str | None,
    as_json: bool,
) -> None:
    """Record a customer's yes, with where, when and to which sentence it was said."""
    from core.access.audit import record
    from core.consent.ledger import Grant
    from core.consent.ledger import grant as write_grant
    from core.consent.texts import load_texts
    from core.customers.phones import read_phone
    from core.customers.store import CustomerIn, put_customers
    from core.ids import CONSENT, outward

    async def work(house: House) -> ConsentState:
        business = await find_business(house, ref)
        now = house.clock.now()
        when = at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
        number = read_phone(phone, business.country) if phone else None
        told = CustomerIn(ref=customer, first_name=first_name, phone=number)
        async with house.database.business(business.id) as transaction:
            texts = await load_texts(transaction, business.id)
            shown = texts.check(channel, purpose, text_version, None)
            people = await put_customers(transaction, house.vault, business.id, [told])
            given = Grant(
                customer_id=people[0].id,
                channel=channel,
                purpose=purpose,
                source=source,
                granted_at=when or now,
                text_version=text_version,
                locale=shown.language,
                proof_reference=proof_reference,
            )
            state = await write_grant(transaction, business.id, given, actor=ACTOR, now=now)
            await record(
                transaction,
                business_id=business.id,
                actor=ACTOR,
                action="consent.grant",
                target=f"consent:{outward(CONSENT, state.id)}",
                after={"channel": channel, "purpose": purpose, "source": source},
            )
        return state

    state = in_house(work)
    holds = "granted" if state.opt_in else "revoked"
    words = f"{customer} has agreed to {purpose} messages on {channel}."
    if not state.opt_in:
        words = "Noted; it changes nothing, because a later revocation stands against it."
    answer = {"id": outward(CONSENT, state.id), "customer": customer, "state": holds}
    show(answer, as_json=as_json, words=words)


@consent.command(
    epilog=example(
        "patchbay consent revoke --business salone-aurora --customer c-17 --channel whatsapp"
    )
)
@business_option
@_customer_option
@_channel_option
@click.option("--purpose", type=click.Choice(PURPOSES), help="Only this; else all of them.")
@click.option("--source", type=click.Choice(SOURCES), default="app", show_default=True)
@json_option
def revoke(
    ref: str, customer: str, channel: str, purpose: str | None, source: str, as_json: bool
) -> None:
    """Record a customer's no; what waits for them is canceled before this answers."""
    from core.access.audit import record
    from core.consent.revocation import drain
    from core.consent.revocation import revoke as write_revocation
    from core.customers.store import find_customers

    purposes = (purpose,) if purpose else PURPOSES

    async def work(house: House) -> tuple[int, int]:
        business = await find_business(house, ref)
        async with house.database.business(business.id) as transaction:
            found = await find_customers(transaction, house.vault, business.id, [customer])
            if customer not in found:
                raise CommandError(f"{ref} has no customer {customer!r}.")
            person = found[customer].id
            revoked = await write_revocation(
                transaction,
                business.id,
                [person],
                channel,
                purposes=purposes,
                source=source,
                actor=ACTOR,
                now=house.clock.now(),
            )
            await record(
                transaction,
                business_id=business.id,
                actor=ACTOR,
                action="consent.revoke",
                target=f"customer:{person}",
                after={
                    "channel": channel,
                    "purposes": list(purposes),
                    "canceled": revoked.canceled,
                },
            )
        draining = await drain(house.database, house.clock, business.id, person, channel)
        return revoked.canceled, draining

    canceled, draining = in_house(work)
    state = "revoking" if draining else "revoked"
    answer = {"customer": customer, "state": state, "canceled": canceled, "draining": draining}
    words = f"Revoked; {canceled} waiting messages were canceled."
    if draining:
        words += f" {draining} were already on their way and cannot be called back."
    show(answer, as_json=as_json, words=words)
    if draining:
        fail()
