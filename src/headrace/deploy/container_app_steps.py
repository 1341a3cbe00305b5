"""The steps of a plan on Container Apps: each looks at what is there first, and does only what is left of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from headrace.deploy.base import TargetSetup, wished
from headrace.deploy.container_app_client import AppClient
from headrace.deploy.container_app_revisions import NewRevision, Revisions
from headrace.deploy.container_app_rules import find_place
from headrace.deploy.container_app_state import (
    Share,
    answering_beside,
    configuration,
    health,
    ingress,
    is_final_failure,
    is_unmoved,
    named_shares,
    owned_shares,
    properties,
    read_scale,
    shares,
    variables,
)
from headrace.deploy.container_app_surroundings import Surroundings
from headrace.deploy.container_app_template import (
    ISSUER_VARIABLE,
    KEY_SECRET,
    PORT,
    SPEC_VARIABLE,
    UNMOVED_TAG,
    RevisionWish,
    Wire,
    make_app,
    make_ingress,
    make_tags,
    make_template,
    merged_identity,
    merged_registries,
    merged_secrets,
    remake_template,
    secret_references,
    secrets_differ,
    wanted_secrets,
    without_leftovers,
)
from headrace.deploy.registry_build import RegistryBuild
from headrace.domain.access import make_key
from headrace.domain.deployment import Action, AzurePlace, Change, Deployment, Endpoint, Scale
from headrace.errors import DefinitionError, Problem, StateError, UsageError
from headrace.formats.deployment_settings import unset_variables

_REPOSITORY = "headrace"


class Steps:
    """Makes steps on one app.

    Args:
        setup: What the target was opened with.
        place: Where the app lives.
        client: Of the app.
        surroundings: What is around it.
        registry: Opens the registry, when it is needed.
    """

    def __init__(
        self,
        setup: TargetSetup,
        place: AzurePlace,
        client: AppClient,
        surroundings: Surroundings,
        registry: Callable[[], RegistryBuild],
    ) -> None:
        self._setup = setup
        self._place = place
        self._client = client
        self._surroundings = surroundings
        self._registry = registry
        self._images: dict[str, str] = {}

    def make(self, change: Change, endpoint: Endpoint) -> None:
        """Make one.

        Raises:
            HeadraceError: As :meth:`headrace.deploy.base.Target.apply`.
            AzureError: Azure refused something.
        """
        steps: Mapping[Action, Callable[[Change, Endpoint], None]] = {
            "wait": self._wait,
            "create endpoint": self._create_endpoint,
            "update endpoint": self._update_endpoint,
            "prepare": self._prepare,
            "create deployment": self._make_deployment,
            "update deployment": self._make_deployment,
            "set mirror": self._set_mirror,
            "move traffic": self._move_traffic,
            "set scale": self._set_scale,
            "delete deployment": self._delete_deployment,
            "delete endpoint": self._delete_endpoint,
        }
        steps[change.action](change, endpoint)

    def _entries(self, app: Wire) -> tuple[Share, ...]:
        """Who has which share, with labels for all that are ours."""
        return named_shares(app, self._client.list_revisions())

    def _wait(self, change: Change, _: Endpoint) -> None:
        app = self._client.wait_idle()
        owned = owned_shares(app, self._client.list_revisions()) if app is not None else ()
        names = [item.revision for name, item in owned if name == change.deployment]
        for _passed_s in self._client.patience.looks(self._client.patience.operation_s) if names else ():
            revisions = [self._client.find_revision(name) for name in names]
            if not any(item is not None and health(item) == "starting" for item in revisions):
                return

    def _create_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        """Look whether everything is there that the app needs; the app itself comes with its first revision."""
        del change
        self._surroundings.environment(self._place)
        app = self._client.find()
        if app is not None:
            self._surroundings.check_app(app, self._place)
        if all(item.image for item in endpoint.deployments):
            return
        if endpoint.identities:
            self._surroundings.tell_missing_role(endpoint.identities[0], self._registry().id)
        else:
            self._setup.tell(
                "Without identities that have the role AcrPull, the registry has to let everybody pull."
            )

    def _update_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        app = self._client.wait_idle()
        if app is None:
            self._create_endpoint(change, endpoint)
            return
        self._surroundings.check_app(app, self._place)
        entries = self._entries(app)
        self._client.patch(
            {
                "identity": merged_identity(app.get("identity") or {}, endpoint.identities),
                "tags": {**make_tags(endpoint, app.get("tags") or {}), **change.tags},
                "properties": {
                    "configuration": {
                        "activeRevisionsMode": "Multiple",
                        "ingress": make_ingress(
                            ingress(app),
                            is_public=endpoint.is_public,
                            traffic=[item.to_wire() for item in entries],
                        ),
                    }
                },
            }
        )
        for entry in entries:
            if entry.label:
                self._remake(entry.label, endpoint)

    def _prepare(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        app = self._client.find()
        wish = self._wish(deployment, endpoint, change.spec, app)
        if app is None or not Revisions(self._client, endpoint).is_there(wish):
            self._image(wish)

    def _make_deployment(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        wish = self._wish(deployment, endpoint, change.spec, self._client.find())

        def change_app(template: Wire, app: Wire, traffic: Sequence[Wire]) -> None:
            self._change_app(endpoint, app, template, traffic, deployment)

        def make(template: Wire) -> None:
            body = make_app(
                wish,
                endpoint,
                environment_id=self._surroundings.environment_id(self._place),
                location=self._surroundings.location(self._place),
                template=template,
                registries=self._registries(deployment, [], endpoint),
                secrets=[*self._wanted_secrets(deployment, endpoint), *self._key_secret(template, [])],
            )
            self._client.put(body)

        def template(suffix: str) -> Wire:
            return make_template(wish, self._image(wish), suffix)

        Revisions(self._client, endpoint).bring(
            wish, NewRevision(template=template, make=make, change=change_app), takes_over=False
        )

    def _set_scale(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        self._remake(deployment.name, endpoint, deployment.scale)

    def _remake(self, name: str, endpoint: Endpoint, scale: Scale | None = None) -> None:
        """Give a deployment a revision that differs in whom it lets in, or in scale, from the one that it has.

        Args:
            name: Of the deployment, which the file need not know any more.
            endpoint: Says whom it lets in.
            scale: Another scale; ``None`` for the one that it has.
        """
        app = self._client.wait_idle()
        entries = self._entries(app) if app is not None else ()
        label = next((item.revision for item in entries if item.label == name), "")
        current = self._client.find_revision(label) if label else None
        values = variables(current) if current is not None else {}
        needs_update = endpoint.authentication == "entra" and ISSUER_VARIABLE not in values
        if current is None or SPEC_VARIABLE not in values or needs_update:
            return  # another step makes it from the beginning, or it is not ours
        before: Wire = properties(current).get("template") or {}
        known = endpoint.find(name) or replace(endpoint.deployments[0], name=name, arm=name)
        kept = scale or read_scale(before.get("scale") or {})
        wish = self._wish(replace(known, scale=kept), endpoint, values[SPEC_VARIABLE], app)

        def change_app(template: Wire, app: Wire, traffic: Sequence[Wire]) -> None:
            self._change_app(endpoint, app, template, traffic, None)

        new = NewRevision(
            template=lambda suffix: remake_template(before, wish, suffix),
            make=lambda _: None,
            change=change_app,
        )
        Revisions(self._client, endpoint).bring(wish, new, takes_over=True)

    def _change_app(
        self,
        endpoint: Endpoint,
        app: Wire,
        template: Wire,
        traffic: Sequence[Wire],
        deployment: Deployment | None,
    ) -> None:
        """Give an app another revision; without a deployment, of the image that it has."""
        self._surroundings.check_app(app, self._place)
        there = configuration(app)
        body: Wire = {
            "activeRevisionsMode": "Multiple",
            "ingress": make_ingress(ingress(app), is_public=endpoint.is_public, traffic=traffic),
        }
        existing = self._client.list_secrets()
        wanted = self._wanted_secrets(deployment, endpoint) if deployment is not None else []
        wanted += self._key_secret(template, existing)
        templates = [properties(item).get("template") or {} for item in self._client.list_revisions()]
        merged = merged_secrets(existing, wanted, secret_references([*templates, template]))
        if secrets_differ(existing, merged):
            body["secrets"] = merged
        if deployment is not None:
            registries = self._registries(deployment, there.get("registries") or [], endpoint)
            if registries:
                body["registries"] = registries
        current = properties(app).get("template") or {}
        self._client.patch(
            {
                "identity": merged_identity(app.get("identity") or {}, endpoint.identities),
                "tags": make_tags(endpoint, app.get("tags") or {}),
                "properties": {"configuration": body, "template": without_leftovers(template, current)},
            }
        )

    def _wish(self, deployment: Deployment, endpoint: Endpoint, spec: str, app: Wire | None) -> RevisionWish:
        identities = endpoint.identities
        return RevisionWish(
            app=endpoint.name,
            deployment=deployment,
            spec=spec,
            authentication=endpoint.authentication,
            identities=identities,
            client_id=self._surroundings.client_id(identities[0]) if identities else "",
            port=(ingress(app).get("targetPort") if app is not None else None) or PORT,
        )

    def _image(self, wish: RevisionWish) -> str:
        """The image of a deployment, which is packed and looked for once."""
        deployment = wish.deployment
        if deployment.image:
            return deployment.image
        if wish.suffix not in self._images:
            package = self._setup.pack(deployment, "image")
            image = self._registry().image(package, f"{_REPOSITORY}/{self._setup.endpoint.name}")
            self._images[wish.suffix] = image
        return self._images[wish.suffix]

    def _registries(self, deployment: Deployment, there: Sequence[Wire], endpoint: Endpoint) -> list[Wire]:
        """Which registries the app asks with an identity: the one that builds, or that of a given image on Azure."""
        host = deployment.image.partition("/")[0] if deployment.image else self._registry().server
        if deployment.image and not host.endswith(".azurecr.io"):
            return []
        return merged_registries(there, host, endpoint.identities)

    def _wanted_secrets(self, deployment: Deployment, endpoint: Endpoint) -> list[Wire]:
        environment = self._setup.settings.environment
        unset = unset_variables([deployment], environment)
        if unset:
            raise DefinitionError(*unset)
        return wanted_secrets(deployment.settings, endpoint.identities, environment)

    def _key_secret(self, template: Wire, existing: Sequence[Wire]) -> list[Wire]:
        """A new key for callers, where a revision refers to one and the app has none."""
        is_needed = KEY_SECRET in secret_references([template])
        if not is_needed or any(item.get("name") == KEY_SECRET for item in existing):
            return []
        key, _ = make_key(self._setup.endpoint.name, created=datetime.now(UTC))
        return [{"name": KEY_SECRET, "value": key}]

    def _set_mirror(self, change: Change, endpoint: Endpoint) -> None:
        if change.after:
            what = "Container Apps cannot copy requests to a second revision."
            raise UsageError(
                Problem(code="X106", what=what, span=find_place(endpoint)[0], fix="Remove mirror.")
            )

    def _move_traffic(self, change: Change, endpoint: Endpoint) -> None:
        wanted = change.shares
        app = self._client.wait_idle()
        if app is None:
            raise self._no_way(endpoint, f"there is no app {endpoint.name}")
        if sum(wanted.values()) != 100:
            raise self._no_way(endpoint, f"the shares add to {sum(wanted.values())} and not to 100")
        revisions = {str(item.get("name", "")).lower(): item for item in self._client.list_revisions()}
        owned = owned_shares(app, [*revisions.values()])
        staying = {
            name: revision
            for name, revision in answering_beside(app, owned).items()
            if name not in change.taking_over
        }
        entries, found = [], set()
        for name, item in owned:
            is_first = name not in found and item.revision == staying.get(name, item.revision)
            found |= {name} if is_first else set()
            percent = wanted.get(name, 0) if is_first else 0
            if percent:
                self._check_ready(name, revisions.get(item.revision.lower(), {}), item.revision, endpoint)
            if item.label or percent:
                entries.append(replace(item, percent=percent))
        missing = [name for name, percent in wanted.items() if percent and name not in found]
        if missing:
            raise self._no_way(endpoint, f"there is no deployment {', '.join(missing)}")
        self._write_moved(app, entries, change, endpoint)

    def _write_moved(self, app: Wire, entries: Sequence[Share], change: Change, endpoint: Endpoint) -> None:
        def rank(items: Sequence[Share]) -> list[tuple[str, str, int]]:
            return sorted((item.revision.lower(), item.label, item.percent) for item in items)

        there = [item for item in shares(app) if item.label or item.percent]
        if rank(there) == rank(entries) and not is_unmoved(app):
            return
        tags = {**make_tags(endpoint, app.get("tags") or {}), **change.tags}
        if is_unmoved(app):
            tags[UNMOVED_TAG] = "false"
        revisions = Revisions(self._client, endpoint)
        revisions.write_traffic(app, entries, tags)
        if len(entries) < len(there):
            revisions.stop_unneeded()  # what was replaced has gone out of the traffic

    def _check_ready(self, name: str, revision: Wire, revision_name: str, endpoint: Endpoint) -> None:
        """Let nobody get requests who does not answer; who was only stopped is started again."""
        state = health(revision) if revision else "unknown"
        if state == "stopped" and not is_final_failure(revision):
            self._client.activate(revision_name)
            deployment = endpoint.find(name) or self._stopped(name)
            Revisions(self._client, endpoint).wait_healthy(revision_name, deployment)
        elif state != "healthy":
            raise self._no_way(endpoint, f"{name} is {state}")

    def _stopped(self, name: str) -> Deployment:
        first = self._setup.endpoint.deployments[0]
        return replace(first, name=name, arm=name)

    def _no_way(self, endpoint: Endpoint, why: str) -> StateError:
        what = f"The traffic of {endpoint.name} stays as it is: {why.rstrip('.')}."
        fix = "See what there is with: headrace deploy status"
        span, pointer = find_place(endpoint)
        return StateError(Problem(code="X275", what=what, span=span, pointer=pointer, fix=fix))

    def _delete_deployment(self, change: Change, endpoint: Endpoint) -> None:
        """Take the label away and stop the revision; Azure lists it for a while."""
        app = self._client.wait_idle()
        if app is None:
            return
        revisions = self._client.list_revisions()
        by_name = {str(item.get("name", "")).lower(): item for item in revisions}
        owned = owned_shares(app, revisions)
        entries = [item for _, item in owned]
        gone = [item for name, item in owned if name == change.deployment]
        if any(item.percent for item in gone):
            alone = " The whole app goes with: headrace deploy destroy" if len(entries) == len(gone) else ""
            raise self._no_way(endpoint, f"{change.deployment} gets requests, and is not deleted.{alone}")
        if gone:
            left = [item for item in entries if item not in gone]
            Revisions(self._client, endpoint).write_traffic(app, left)
        labelled = {item.revision.lower() for item in entries if item not in gone}
        for item in gone:
            revision = by_name.get(item.revision.lower())
            is_running = revision is not None and properties(revision).get("active") is not False
            if is_running and item.revision.lower() not in labelled:
                self._client.deactivate(item.revision)
        Revisions(self._client, endpoint).stop_unneeded()

    def _delete_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        del change, endpoint
        self._client.wait_idle()
        self._client.delete()
