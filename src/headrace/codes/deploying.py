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
    "X111": Entry(
        "several-endpoints",
        "A folder with files of several endpoints",
        "A deployment file is about one endpoint, so it is made of the files of one.",
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
    "X145": Entry(
        "unknown-refusal",
        "A refusal that does not exist",
        "A refusal is overridden by its name, so that an override says what it overrides.",
    ),
    "X146": Entry(
        "drifted",
        "A place that somebody else has changed",
        "Before traffic moves it is looked at again, and nothing is moved that is not as it was when it was planned.",
    ),
    "X147": Entry(
        "unhealthy-before-move",
        "A deployment that is not healthy before it gets requests",
        "Traffic never moves to a deployment that is not healthy when it is looked at for the last time.",
    ),
    "X148": Entry(
        "smoke-test-failed",
        "A deployment that does not answer its sample",
        "Before a deployment gets requests it has to answer the sample of its flow; this one did not.",
    ),
    "X149": Entry(
        "no-previous-traffic",
        "Nothing to go back to",
        "The traffic before the last move is noted at the endpoint; nobody has noted any, or what had it is gone.",
    ),
    "X150": Entry(
        "nothing-deployed",
        "An endpoint that does not exist",
        "There is nothing under this name yet.",
    ),
    "X151": Entry(
        "always-busy",
        "Something is always under way",
        "After what was under way had ended, something else was, several times.",
    ),
    "X153": Entry(
        "no-sample",
        "A flow without a sample",
        "A new deployment is tried out with the sample of its flow, and this flow has none.",
    ),
    "X154": Entry(
        "still-answering",
        "A deployment that answers requests",
        "What answers requests is not deleted before its share has gone to others.",
    ),
    "X159": Entry(
        "step-refused",
        "A step of a plan that was not made",
        "The target did not do what a step says; what was done before stays done, and applying again goes on there.",
    ),
    "X160": Entry(
        "shares-not-hundred",
        "Shares that do not add to 100",
        "Traffic is shared in whole percent that add to 100, so that every request is answered by one.",
    ),
    "X161": Entry(
        "share-too-far",
        "A share that moves too far at once",
        "The file says how many percentage points a share may move at once, so that a bad version meets few requests.",
    ),
    "X162": Entry(
        "unhealthy-target",
        "Requests to a deployment that is not healthy",
        "A deployment that is failing, stopped or unknown gets no further requests.",
    ),
    "X163": Entry(
        "replaced-in-place",
        "A deployment that would be replaced while it answers",
        "What it changes to would get its requests untried, and on some targets nobody answers them meanwhile.",
    ),
    "X164": Entry(
        "last-healthy",
        "The only healthy deployment would be deleted",
        "After the plan nothing would be left that can answer.",
    ),
    "X165": Entry(
        "dirty-flow",
        "A flow that could not be deployed again",
        "The flow is no version that the store keeps, or its files have changes that are not committed.",
    ),
    "X166": Entry(
        "gate-not-passed",
        "A gate that was not passed",
        "The file names a gate; it was failed or left undecided, it cannot be found, or it is about another version.",
    ),
    "X167": Entry(
        "open-to-everybody",
        "An endpoint that asks nobody who they are",
        "It can be reached from everywhere, and everybody may ask.",
    ),
    "X168": Entry(
        "unpinned-image",
        "An image without a digest",
        "What a name or a tag of an image stands for can change; a digest cannot.",
    ),
    "X169": Entry(
        "made-by-others",
        "Something that headrace did not make",
        "What others made is left alone unless that is asked for by name.",
    ),
    "X170": Entry(
        "mirror-not-possible",
        "Copies of requests that the target cannot make",
        "Only some targets can copy requests to a deployment that answers nobody.",
    ),
    "X201": Entry(
        "not-signed-in",
        "No token for Azure",
        "No way of signing in to Azure gave a token. What was tried, and what each said, is listed.",
    ),
    "X202": Entry(
        "wrong-tenant",
        "Signed in to another tenant",
        "The subscription belongs to another tenant than the identity.",
    ),
    "X203": Entry(
        "role-missing",
        "An identity without a role",
        "Azure refuses an action that the identity has no role for; the message names action, scope and role.",
    ),
    "X204": Entry(
        "not-in-azure",
        "Something that is not there in Azure",
        "A subscription, group, workspace, environment, registry or deployment does not exist, or cannot be seen.",
    ),
    "X205": Entry(
        "busy", "Azure is busy with it", "Another operation on the same endpoint or app is under way."
    ),
    "X206": Entry(
        "out-of-quota",
        "Not enough quota",
        "The subscription may not have that many cores of this family in this region.",
    ),
    "X207": Entry(
        "image-not-built", "An image that cannot be built", "The build of the image failed in Azure."
    ),
    "X208": Entry(
        "not-ready",
        "A container that does not become ready",
        "The container starts but does not answer its probes, or stops again; its last log lines are shown.",
    ),
    "X209": Entry(
        "secret-unreadable",
        "A secret that the deployment cannot read",
        "The identity of the endpoint may not read a Key Vault secret or a workspace connection, or it is not there.",
    ),
    "X210": Entry(
        "refused-by-azure", "Azure refuses the request", "Something in the request is not allowed."
    ),
    "X211": Entry(
        "throttled",
        "Too many requests to Azure",
        "Azure kept answering 429 for longer than the retries last.",
    ),
    "X212": Entry(
        "azure-unreachable", "Azure cannot be reached", "No connection, or one that broke again and again."
    ),
    "X213": Entry("not-in-time", "Azure does not finish in time", "An operation took longer than it may."),
    "X215": Entry("azure-failed", "Azure failed", "An operation ended with an error that is Azure's own."),
    "X216": Entry(
        "called-off", "An operation that was called off", "Somebody, or Azure, cancelled the operation."
    ),
    "X217": Entry(
        "network-not-ready",
        "A managed network that is not ready",
        "The workspace isolates its network, which has to be made before anything is deployed into it.",
    ),
    "X218": Entry(
        "not-fetched",
        "An image or a model that Azure cannot fetch",
        "The identity of the endpoint may not pull the image or read the model, or it is not there.",
    ),
    "X219": Entry(
        "not-registered",
        "A subscription that is not registered",
        "A subscription has to be registered once for each kind of resource that it has not had before.",
    ),
    "X220": Entry(
        "held-back",
        "Nobody may do it here",
        "A policy, a lock, or a subscription that is disabled stands in the way, whatever roles the identity has.",
    ),
    "X221": Entry(
        "not-offered-here",
        "A region or a cloud that does not offer it",
        "The region does not have this kind of resource, or the cloud not this version of its interface.",
    ),
    "X251": Entry(
        "no-effect",
        "Something without effect at this target",
        "The file says something that the target has no way of doing; the rest of it holds.",
    ),
    "X252": Entry(
        "asset-taken",
        "A model or an environment that somebody else has made",
        "What deployments are made from is found by digests, and never changed. Its name and version are taken by "
        "something with other contents.",
    ),
    "X253": Entry(
        "identity-fixed",
        "Identities that cannot be changed",
        "An endpoint of Azure Machine Learning keeps the identities that it was created with.",
    ),
    "X254": Entry(
        "other-than-planned",
        "Something that is not as the plan has it",
        "What a step is about has been deleted or changed since the plan was made; a new plan sees what is there.",
    ),
    "X271": Entry(
        "no-pull-identity",
        "An app without an identity to pull its image with",
        "Container Apps pull the image while they make the app. Its own identity exists only afterwards; one of the "
        "user, which has the role AcrPull before, does not have that trouble.",
    ),
    "X272": Entry(
        "never-starts-again",
        "An app that never starts again",
        "Without a copy there is no load, so that load alone starts no copy; requests do.",
    ),
    "X273": Entry(
        "access-unclear",
        "A deployment that does not say who may ask",
        "The server of an app looks at keys and tokens itself. What authentication says and what its variables say "
        "have to fit, or it would not start, or let in whom nobody meant.",
    ),
    "X274": Entry(
        "no-app-environment",
        "An environment of Container Apps that is not there",
        "Apps live in an environment, which is made before them, and do not move to another one.",
    ),
    "X275": Entry(
        "traffic-kept",
        "Traffic that was not moved",
        "Requests go to deployments that are there and healthy, all of them, or they stay where they are.",
    ),
    "X276": Entry(
        "registry-build-failed",
        "An image that was not built",
        "The registry builds images from the packed deployment; the last lines of its log say what went wrong.",
    ),
    "X277": Entry(
        "image-not-pulled",
        "An image that cannot be pulled",
        "The identity of the app may not pull from the registry, or the image is not there.",
    ),
    "X278": Entry(
        "revision-unhealthy",
        "A deployment that does not become healthy",
        "Its server does not start or does not answer its probes; the last lines of its log say why. The one before it "
        "goes on.",
    ),
    "X279": Entry(
        "app-unchanged",
        "A change that Container Apps did not make",
        "The service refused it, failed, or takes longer than is waited for; applying again goes on where it stopped.",
    ),
    "X291": Entry(
        "not-on-this-machine",
        "Something that the target local cannot do",
        "A process of this machine has no tenant, no managed network and no image of its own.",
    ),
    "X292": Entry(
        "server-not-started",
        "A server of this machine that does not become ready",
        "Its process ends, lacks something, or takes too long; the last lines of its log say why. What answered before "
        "goes on.",
    ),
    "X293": Entry(
        "local-state",
        "What is deployed on this machine cannot be read or written",
        "A file of the workspace holds which processes were started, and what they are.",
    ),
    "X294": Entry(
        "not-as-planned-here",
        "Something on this machine that is not as the plan has it",
        "What a step is about is gone, still gets requests, or is being changed by another command.",
    ),
    "X301": Entry(
        "model-not-offered",
        "A model that the region does not offer",
        "Which models there are differs by region and by the kind of account.",
    ),
    "X302": Entry(
        "model-version-not-offered",
        "A version of a model that the region does not offer",
        "Versions are offered for a time, and not in every region.",
    ),
    "X303": Entry(
        "sku-not-offered",
        "A SKU that the version is not offered with",
        "Standard, provisioned and batch deployments are offered for some versions and in some regions only.",
    ),
    "X304": Entry(
        "capacity-not-offered",
        "A number of units that is not offered",
        "Each SKU has a least and a most number of units, and some come in steps.",
    ),
    "X305": Entry(
        "model-retired",
        "A model that is retired",
        "It answers nobody any more, so it cannot be deployed.",
    ),
    "X306": Entry(
        "model-quota",
        "Too little quota for a model",
        "Each subscription has a limit of units for each model and SKU in each region, over all of its accounts.",
    ),
    "X307": Entry(
        "not-in-account",
        "Something that the account does not have, or still needs",
        "A deployment names others of its account: where it spills over to, and the policy that filters its content.",
    ),
    "X308": Entry(
        "no-such-account",
        "An account that cannot be found",
        "Models are deployed in an account of Azure OpenAI or Foundry, which has to be there.",
    ),
    "X309": Entry(
        "model-retires",
        "A model that ends soon",
        "After its last day it answers nobody; a newer version answers otherwise, so there is time to compare.",
    ),
    "X310": Entry(
        "model-not-deployed",
        "A deployment of a model that was refused or failed",
        "The message is that of the service.",
    ),
    "X321": Entry(
        "no-job-place",
        "No place for jobs",
        "Lines are run by jobs of a workspace of Azure Machine Learning, on a compute cluster of it.",
    ),
    "X322": Entry(
        "not-in-jobs",
        "Something that jobs cannot do",
        "What a job is submitted with can be read by everybody who can read the job, so no keys are sent. A job knows "
        "neither what the other jobs spend nor the cache.",
    ),
    "X323": Entry(
        "jobs-lost",
        "A line that two jobs left without a result",
        "What a job leaves undone is submitted once more; a line that is missing then has failed.",
    ),
    "X324": Entry(
        "job-cancelled",
        "A job was cancelled",
        "Somebody wants it to end, so it is not submitted again; its lines stay unrecorded.",
    ),
}
