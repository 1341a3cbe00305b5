"""``headrace deploy model``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import click

from headrace.cli.account_options import azure_account_options
from headrace.cli.deploy_options import JSON, shape_option
from headrace.cli.model_view import plan_to_json, render_plan
from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session, fail_usage
from headrace.domain.model_deployment import ModelPlan, ModelWish, UpgradePolicy
from headrace.errors import ExitCode
from headrace.operations.deploy_models import delete_model, deploy_model, find_place


@click.command(
    "model",
    cls=Verb,
    examples=(
        ("What would change", "headrace deploy model chat --model gpt-4o-mini --capacity 50 --dry-run"),
        ("Another version", "headrace deploy model chat --version 2024-07-18 --upgrade NoAutoUpgrade"),
        ("Delete it", "headrace deploy model chat --delete"),
    ),
)
@click.argument("name", metavar="NAME")
@azure_account_options()
@click.option("--model", metavar="MODEL", help="The model; needed for a new deployment.")
@click.option("--version", metavar="VERSION", help="Its version; default: as it is, or that of the region.")
@click.option(
    "--model-format", metavar="FORMAT", help="Whose model it is, where two have one name: OpenAI or Meta."
)
@click.option(
    "--sku",
    metavar="SKU",
    help="As the service names it, GlobalStandard or GlobalBatch; default: as it is, or GlobalStandard.",
)
@click.option(
    "--capacity",
    metavar="N",
    type=click.IntRange(min=1),
    help="Units of the SKU; a thousand tokens a minute of standard ones.",
)
@click.option(
    "--upgrade",
    type=click.Choice(get_args(UpgradePolicy)),
    metavar="POLICY",
    help="When the service takes a newer version: OnceNewDefaultVersionAvailable or another.",
)
@click.option("--content-filter", metavar="POLICY", help="Content filter policy of the account.")
@click.option(
    "--spillover", metavar="NAME", help="Deployment that answers where this one is busy; empty text for none."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would change.")
@click.option("--delete", "deletes", is_flag=True, help="Delete the deployment.")
@shape_option()
@yes_option("Do not ask before deleting.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    name: str,
    account: str | None,
    group: str | None,
    subscription: str | None,
    is_dry: bool,
    deletes: bool,
    form: str,
    yes: bool,
    **wished: Any,
) -> int:
    """Deploy a model in an account of Azure OpenAI or Foundry, or change its deployment.

    Says what changes, refuses what the region does not offer or the quota does not allow, and waits
    until it is done. Given again, it does no more. What is not named stays as it is.
    """
    place = find_place(session.settings.environment, subscription, group, account)
    given = {key: value for key, value in wished.items() if value is not None}
    if deletes:
        if given:
            option = f"--{next(iter(given)).replace('_', '-')}"
            fail_usage(f"--delete and {option} exclude each other.", "Say one of them.")
        plan, is_applied = delete_model(
            place, name, session.note, _asking(session, is_dry=is_dry, is_sure=yes)
        )
        _show(session, plan, form, is_applied=is_applied)
        is_open = plan.is_needed and not is_applied and not is_dry
        return ExitCode.FAILED if is_open else ExitCode.OK
    wish = ModelWish(name=name, **given)
    today = datetime.now(UTC).date()
    plan = deploy_model(place, wish, session.note, today=today, is_dry=is_dry)
    if plan.warnings and not session.is_quiet:
        session.show_problems(*plan.warnings)
    _show(session, plan, form, is_applied=plan.is_needed and not is_dry)
    return ExitCode.OK


def _asking(session: Session, *, is_dry: bool, is_sure: bool) -> Callable[[ModelPlan], bool]:
    """Says whether a deployment may be deleted."""

    def may(plan: ModelPlan) -> bool:
        if is_dry or is_sure:
            return not is_dry
        session.note(render_plan(plan, is_done=False))
        return session.confirm("Delete it?")

    return may


def _show(session: Session, plan: ModelPlan, form: str, *, is_applied: bool) -> None:
    if form == JSON:
        session.write_json(plan_to_json(plan, is_applied=is_applied))
    else:
        session.write(render_plan(plan, is_done=is_applied))
