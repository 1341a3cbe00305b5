"""Codes of deployments, the family X."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

DEPLOY_CODES: Mapping[str, Entry] = {
    "X101": Entry(
        "variable-not-set",
        "A variable that is not set",
        "A deployment file takes a value from the environment, which does not have it.",
    ),
    "X102": Entry(
        "name-refused",
        "A name that the target does not take",
        "Names of endpoints, apps and deployments become parts of addresses, and each target has rules for them.",
    ),
    "X103": Entry(
        "beyond-target",
        "More than the target can do",
        "The target has a limit here, and would refuse the request or cut it off.",
    ),
    "X104": Entry(
        "not-of-target",
        "Something that another target has",
        "The file says something that means nothing where it is deployed to.",
    ),
    "X105": Entry(
        "traffic-half-said",
        "Arms of which only some say their traffic",
        "What the others get would be a guess.",
    ),
    "X106": Entry(
        "mirror-off",
        "Requests that cannot be mirrored like this",
        "Requests are copied to one deployment, which has no traffic of its own.",
    ),
    "X107": Entry(
        "image-not-pinned",
        "An image that is not named by its digest",
        "What a tag points at changes, so copies that start later could run something else.",
    ),
    "X108": Entry(
        "key-would-be-text",
        "A key that would become readable text",
        "The value of a variable would be written into the deployment, where everybody with a reader's role sees it.",
    ),
    "X109": Entry(
        "plain-secret",
        "A key that stands as text in a deployment",
        "Whoever may read the deployment, the plan or the file has the key; it belongs into a Key Vault or a variable.",
    ),
    "X110": Entry(
        "arm-not-deployable",
        "An arm that no deployment can be",
        "A deployment serves one flow with at most one variant and one model; some arms of experiments are more.",
    ),
    "X141": Entry(
        "no-free-place",
        "A new version without a place",
        "A file without arms has two places, blue and green. A third version has to wait until one of the two that "
        "are there has no traffic any more.",
    ),
    "X142": Entry(
        "too-many-deployments",
        "More deployments than the target takes",
        "A target takes a number of deployments behind one endpoint; what is no longer needed is deleted first.",
    ),
    "X143": Entry(
        "unknown-deployment",
        "A deployment that does not exist",
        "An endpoint or a deployment that was named is not there; the message says which ones are.",
    ),
    "X159": Entry(
        "step-refused",
        "A step of a plan that was not made",
        "The target did not do what a step says; what was done before stays done, and applying again goes on there.",
    ),
}
