"""The command `customer-service`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from customer_service import __version__, repository
from customer_service.auth import tokens
from customer_service.cli import demo, serve
from customer_service.cli.check import check
from customer_service.cli.console import (
    EXIT_FAILURE,
    EXIT_USAGE,
    ORGANIZATION,
    USER,
    Commands,
    members_of,
    open_database,
    print_error,
)
from customer_service.cli.env_file import ENV_FILE
from customer_service.cli.erasure import erase_due
from customer_service.cli.sat.commands import sat
from customer_service.cli.transfer.commands import export_customers, import_customers
from customer_service.errors import CustomerServiceError, DatabaseUnavailable, LastAdmin, SettingsError
from customer_service.repository import MembershipRepository
from customer_service.roles import ROLES
from customer_service.settings import HistorySettings, JwtSettings
from customer_service.web.problems import PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from customer_service.roles import Role


def main() -> None:
    """Run the command; exit with 0 on success, 1 on failure, 2 on wrong usage or settings, 130 on Ctrl-C."""
    try:
        command(prog_name="customer-service")
    except SettingsError as error:
        sys.exit(print_error(str(error), EXIT_USAGE))
    except DatabaseUnavailable:
        sys.exit(print_error("MongoDB does not answer at MONGODB_URI. Is it running?", EXIT_FAILURE))
    except LastAdmin:
        sys.exit(print_error(PROBLEMS[LastAdmin].detail, EXIT_FAILURE))
    except CustomerServiceError as error:
        sys.exit(print_error(f"{type(error).__name__}: {error}", EXIT_FAILURE))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def command() -> None:
    """Run and maintain the customer service.

    Settings come from the environment; docs/reference/settings.md lists them.

    \b
    Examples:
      customer-service demo
      MONGODB_URI=mongodb://localhost:27017 customer-service indexes
      MONGODB_URI=mongodb://localhost:27017 customer-service members add ORGANIZATION USER --role editor
      JWT_SECRET=… customer-service token USER
      customer-service check
    """


command.add_command(check)
command.add_command(import_customers)
command.add_command(export_customers)
command.add_command(sat)
command.add_command(erase_due)


@command.command("demo")
@click.option("--port", type=click.IntRange(1, 65_535), help="TCP port. The default is PORT, or 3001.")
@ENV_FILE
def run_demo(environ: Mapping[str, str], port: int | None) -> None:
    """Serve the documented example from memory, and print curls to paste.

    \b
    Example:
      customer-service demo --port 8080
    """
    demo.run(environ, port)


@command.command("serve")
@ENV_FILE
def run_service(environ: Mapping[str, str]) -> None:
    """Serve under gunicorn until SIGTERM. Run `customer-service indexes` first.

    \b
    Examples:
      MONGODB_URI=mongodb://localhost:27017 JWT_SECRET=… customer-service serve
      customer-service serve --env-file .env
    """
    serve.run(environ)


@command.command("indexes")
def create_indexes() -> None:
    """Create the indexes that the queries need. Run it on every deployment: it changes nothing twice.

    It drops the indexes on customers that it created once and that no query needs any more. Customers that another
    program stored get the fields that they are listed and searched by. Customers of one organization that share a tax
    id or external id are printed as twins, by their ids.

    \b
    Example:
      MONGODB_URI=mongodb://localhost:27017 customer-service indexes
    """
    history = HistorySettings.from_environment()
    database = open_database()
    for name, created in repository.ensure_indexes(database):
        click.echo(f"{'created' if created else 'present'}  {name}")
    for name in repository.drop_unused_indexes(database):
        click.echo(f"dropped  {name}")
    for done, name in repository.set_history_days(database, history.days):
        click.echo(f"{done}  {name}")
    with click.progressbar(length=1, label="completing customers", file=sys.stderr) as bar:

        def on_progress(number: int, total: int) -> None:
            bar.length = total
            bar.update(number - bar.pos)

        refused = list[str]()
        completed, shared = repository.backfill_search_fields(database, on_progress, refused.append)
    for customer_id in refused:
        click.echo(f"refused  {customer_id}: MongoDB refused to change this customer, so no list has it")
    changed, twins = repository.backfill_unique_keys(database)
    if changed:
        click.echo(f"changed  the unique keys of {changed} customers")
    for each in twins:
        click.echo(f"twins  {each.customer_id} and {each.other_id} of {each.organization_id} have the same {each.name}")
    click.echo(f"completed  {completed} customers, {shared} of which share a tax id or external id with another")


@command.command("token")
@click.argument("subject")
@click.option("--expires-in", type=click.IntRange(1), default=3600, show_default=True, help="Its lifetime in seconds.")
def mint_token(subject: str, expires_in: int) -> None:
    """Print a token for the user SUBJECT, for development: it is signed with JWT_SECRET.

    \b
    Example:
      curl -H "Authorization: Bearer $(customer-service token USER)" …
    """
    click.echo(tokens.mint(JwtSettings.from_environment(), subject, expires_in))


@command.group()
def members() -> None:
    """Manage the members of an organization.

    \b
    Examples:
      customer-service members add ORGANIZATION USER --role admin
      customer-service members list ORGANIZATION
      customer-service members remove ORGANIZATION USER
    """


@members.command("add")
@ORGANIZATION
@USER
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
def add_member(organization: str, user: str, role: Role) -> None:
    """Make USER a member of ORGANIZATION, or change the member's role; the last admin keeps it.

    \b
    Example:
      customer-service members add 550e8400-e29b-41d4-a716-446655440000 auth0-5f7c --role editor
    """
    _require(
        "ORGANIZATION",
        0 < len(organization) <= repository.MAXIMUM_ORGANIZATION_ID_LENGTH and "/" not in organization,
        f"1 to {repository.MAXIMUM_ORGANIZATION_ID_LENGTH} characters, none of them a slash",
    )
    _require(
        "USER",
        tokens.is_valid_subject(user),
        f"1 to {repository.MAXIMUM_USER_ID_LENGTH} characters, none of them a control character",
    )
    added = _memberships().set_role_keeping_admin(user, organization, role)
    click.echo(f"{'added' if added else 'already a member, now'}  {user}  {role}")


@members.command("remove")
@ORGANIZATION
@USER
def remove_member(organization: str, user: str) -> None:
    """End USER's membership of ORGANIZATION, unless it is the last admin's."""
    if not _memberships().remove_keeping_admin(user, organization):
        sys.exit(print_error(f"{user} is not a member of {organization}", EXIT_FAILURE))
    click.echo(f"removed  {user}")


@members.command("list")
@ORGANIZATION
def list_members(organization: str) -> None:
    """Print the members of ORGANIZATION, each with its role."""
    for membership in members_of(open_database(), organization):
        click.echo(f"{membership.user_id}\t{membership.role}")


def _memberships() -> MembershipRepository:
    return MembershipRepository(open_database())


def _require(name: str, holds: bool, what: str) -> None:
    if not holds:
        raise click.BadParameter(f"must have {what}", param_hint=name)
