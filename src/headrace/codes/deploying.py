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
}
