// What lives longer than one version of a flow, in one resource group. `headrace deploy` makes endpoints and apps in it.
// README.md says what is made, what it costs, who may do what, and what is left of it.
targetScope = 'subscription'

@description('Name of the environment of azd: it names the group and the project of Foundry, and decides every other name.')
@minLength(2)
@maxLength(60)
param environmentName string

@description('Region of every resource.')
@minLength(1)
param location string

@description('Name of the resource group; empty for one made of the name of the environment.')
param resourceGroupName string = ''

@description('Which sizes of environments.json are used: dev is small, prod is redundant.')
@allowed(['dev', 'prod'])
param environmentType string = 'dev'

@description('Object id of the person, or better the group, that develops. Empty: only the identities get roles.')
param developerPrincipalId string = ''

@description('What that is: User, Group or ServicePrincipal.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param developerPrincipalType string = 'User'

@description('Repository whose pipeline deploys, as GitHub writes it into its tokens: OWNER/NAME, or OWNER@ID/NAME@ID. Empty for none.')
param githubRepository string = ''

@description('Environments of that repository whose jobs deploy here, separated by commas; empty for those of environments.json.')
param deployingEnvironments string = ''

@description('Environments of that repository whose jobs look at pull requests, separated by commas; empty for those of environments.json.')
param reviewingEnvironments string = ''

@description('Whether a Foundry account, a project and a model are made.')
param useModels bool = true

@description('Whether a workspace of Azure Machine Learning is made, for deployments with target azureml.')
param useAzureMl bool = true

@description('Whether an environment of Container Apps is made, for deployments with target aca.')
param useContainerApps bool = true

@description('Whether Azure AI Search is made, for flows that retrieve.')
param useSearch bool = false

@description('Whether a PostgreSQL server is made, in which a team shares its runs.')
param usePostgres bool = false

@description('Whether vault, models, workspace, search and store are reached through private endpoints only.')
param usePrivateNetwork bool = false

@description('Names in place of those made here, by the keys of `standardNames` below: a name of a resource that is there takes it over.')
param resourceNames object = {}

@description('Model of the deployment `chat`.')
param chatModel string = 'gpt-5.6-luna'

@description('Version of the model.')
param chatModelVersion string = '2026-07-09'

@description('SKU of the deployment: GlobalStandard, DataZoneStandard, Standard, or another that the region offers.')
param chatModelSku string = 'GlobalStandard'

@description('Password of the user of headrace in PostgreSQL. Not given: only Entra ID, and no address of the store in the vault.')
@secure()
param postgresPassword string?

@description('User principal name or group name of the developers, as administrator of PostgreSQL; empty for none.')
param postgresAdministratorName string = ''

@description('Whether every machine in Azure, also of others, may try to sign in to PostgreSQL: hosted runners and apps need it without a private network.')
param isPostgresOpenToAzure bool = false

@description('One IPv4 address that may connect to PostgreSQL; empty for none.')
param postgresClientAddress string = ''

@description('Address that gets alerts; empty for no alerts and no budget.')
param alertEmail string = ''

@description('What the resource group may cost in a month, in the currency of the subscription; 0 for no budget.')
@minValue(0)
param budgetAmount int = 0

@description('First day of the first month of the budget, as 2026-12-01; empty for this month. Set it once a budget is there.')
param budgetStartDate string = ''

@description('First day of this month. Nobody has to give it.')
param firstOfMonth string = utcNow('yyyy-MM-01')

var environments = loadJsonContent('environments.json')
var sizes = environments[environmentType]
var token = toLower(uniqueString(subscription().id, environmentName, location))
var groupName = empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
var tags = {
  'azd-env-name': environmentName
  project: 'headrace'
}
var standardNames = {
  alerts: 'alerts-${token}'
  applicationInsights: 'appi-${token}'
  containerApps: 'cae-${token}'
  flowIdentity: 'id-flow-${token}'
  foundry: 'aif-${token}'
  logs: 'log-${token}'
  network: 'vnet-${token}'
  pipelineIdentity: 'id-pipeline-${token}'
  postgres: 'psql-${token}'
  registry: 'cr${token}'
  reviewIdentity: 'id-review-${token}'
  search: 'srch-${token}'
  storage: 'st${token}'
  vault: 'kv-${token}'
  workspace: 'mlw-${token}'
}
var names = union(standardNames, resourceNames)
var inGroup = '${subscription().id}/resourceGroups/${groupName}/providers'
var useRegistry = useAzureMl || useContainerApps
var useAlerts = !empty(alertEmail)

// Built-in roles, each the least that does. Nobody gets Owner or Contributor.
var roles = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  containerAppsContributor: '358470bc-b998-42bd-ab17-a7e34c199c0f'
  containerRegistryTasksContributor: 'fb382eab-e894-4461-af04-94435c366c3f'
  keyVaultSecretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  logAnalyticsReader: '73c42c96-874c-492b-b04d-ab87d138a893'
  machineLearningConnectionSecretsReader: 'ea01e6af-a1c1-4350-9563-ad00f8c72ec5'
  machineLearningDataScientist: 'f6c7c914-8db3-469d-8ca1-694a8f32e121'
  machineLearningMetricsWriter: '635dd51f-9968-44d3-b7fb-6d9a6bd613ae'
  managedIdentityOperator: 'f1a07417-d97a-45cb-824c-7a7467783830'
  networkConnectionApprover: 'b556d68e-0be0-4f35-a333-ad7ee1ce17ea'
  openAiUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  reader: 'acdd72a7-3385-48ef-bd42-f606fba81ae7'
  searchIndexDataContributor: '8ebe5a00-799e-43f5-93ac-243d3dce84a7'
  searchIndexDataReader: '1407120a-92aa-4202-b7e9-c0e197c71c8f'
  searchServiceContributor: '7ca78c08-252a-4471-8644-bb5ff32d4ba0'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageBlobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  webPlanContributor: '2cc479cb-7b4d-49a8-b449-8c00fd0f0a4b'
}
// Developers of dev deploy themselves; in prod the pipeline does.
var deployingDeveloperId = sizes.developersDeploy ? developerPrincipalId : ''

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: {
    location: location
    tags: tags
    flowName: names.flowIdentity
    pipelineName: names.pipelineIdentity
    githubRepository: githubRepository
    reviewName: names.reviewIdentity
    deployingEnvironments: split(empty(deployingEnvironments) ? sizes.deployingEnvironments : deployingEnvironments, ',')
    reviewingEnvironments: split(empty(reviewingEnvironments) ? sizes.reviewingEnvironments : reviewingEnvironments, ',')
  }
}

module identityRoles 'modules/identity-roles.bicep' = {
  name: 'identity-roles'
  scope: group
  params: {
    flowName: names.flowIdentity
    grants: [
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.managedIdentityOperator
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.managedIdentityOperator
      }
    ]
  }
}

module groupRoles 'modules/group-roles.bicep' = {
  name: 'group-roles'
  scope: group
  params: {
    grants: [
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.reader
      }
      {
        principalId: identities.outputs.reviewPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.reader
      }
      {
        principalId: developerPrincipalId
        principalType: developerPrincipalType
        roleId: roles.reader
      }
      {
        principalId: useContainerApps ? identities.outputs.pipelinePrincipalId : ''
        principalType: 'ServicePrincipal'
        roleId: roles.containerAppsContributor
      }
      {
        principalId: useContainerApps ? deployingDeveloperId : ''
        principalType: developerPrincipalType
        roleId: roles.containerAppsContributor
      }
      // Copies of managed endpoints scale by settings of Azure Monitor, and no smaller role writes and deletes those.
      {
        principalId: useAzureMl ? identities.outputs.pipelinePrincipalId : ''
        principalType: 'ServicePrincipal'
        roleId: roles.webPlanContributor
      }
      {
        principalId: useAzureMl ? deployingDeveloperId : ''
        principalType: developerPrincipalType
        roleId: roles.webPlanContributor
      }
    ]
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    logsName: names.logs
    applicationInsightsName: names.applicationInsights
    retentionDays: sizes.logRetentionDays
    dailyQuotaGb: sizes.logDailyQuotaGb
    grants: [
      {
        principalId: developerPrincipalId
        principalType: developerPrincipalType
        roleId: roles.logAnalyticsReader
      }
    ]
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.vault
    isProtectedFromPurge: sizes.vaultIsProtectedFromPurge
    retentionDays: sizes.vaultRetentionDays
    isPrivate: usePrivateNetwork
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    grants: [
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.keyVaultSecretsUser
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.keyVaultSecretsOfficer
      }
    ]
  }
}

module models 'modules/models.bicep' = if (useModels) {
  name: 'models'
  scope: group
  params: {
    location: location
    tags: tags
    accountName: names.foundry
    projectName: environmentName
    chatModel: chatModel
    chatModelVersion: chatModelVersion
    chatModelSku: chatModelSku
    chatCapacity: sizes.chatCapacity
    isPrivate: usePrivateNetwork
    grants: [
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.openAiUser
      }
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.openAiUser
      }
      {
        principalId: identities.outputs.reviewPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.openAiUser
      }
      {
        principalId: developerPrincipalId
        principalType: developerPrincipalType
        roleId: roles.openAiUser
      }
    ]
  }
}

module registry 'modules/registry.bicep' = if (useRegistry) {
  name: 'registry'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.registry
    sku: sizes.registrySku
    isZoneRedundant: sizes.isZoneRedundant
    grants: [
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.acrPull
      }
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.acrPull
      }
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.containerRegistryTasksContributor
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.acrPull
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.containerRegistryTasksContributor
      }
    ]
  }
}

module network 'modules/network.bicep' = if (usePrivateNetwork) {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.network
    zoneNames: flatten(map(filter(privateTargets, target => target.isUsed), target => target.zoneNames))
  }
}

module containerApps 'modules/container-apps.bicep' = if (useContainerApps) {
  name: 'container-apps'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.containerApps
    logsId: monitoring.outputs.logsId
    subnetId: usePrivateNetwork ? network!.outputs.appsSubnetId : ''
    isZoneRedundant: sizes.isZoneRedundant
  }
}

module machineLearning 'modules/machine-learning.bicep' = if (useAzureMl) {
  name: 'machine-learning'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceName: names.workspace
    storageName: names.storage
    storageSku: sizes.storageSku
    registryId: registry!.outputs.id
    vaultName: vault.outputs.name
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    isPrivate: usePrivateNetwork
    networkRoleId: roles.networkConnectionApprover
    workspaceGrants: [
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.machineLearningConnectionSecretsReader
      }
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.machineLearningMetricsWriter
      }
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.machineLearningDataScientist
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.machineLearningDataScientist
      }
    ]
    storageGrants: [
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.storageBlobDataReader
      }
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.storageBlobDataContributor
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.storageBlobDataContributor
      }
    ]
  }
}

module search 'modules/search.bicep' = if (useSearch) {
  name: 'search'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.search
    sku: sizes.searchSku
    replicas: sizes.searchReplicas
    isPrivate: usePrivateNetwork
    grants: [
      {
        principalId: identities.outputs.flowPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.searchIndexDataReader
      }
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.searchIndexDataReader
      }
      {
        principalId: identities.outputs.reviewPrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.searchIndexDataReader
      }
      {
        principalId: developerPrincipalId
        principalType: developerPrincipalType
        roleId: roles.searchIndexDataReader
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.searchIndexDataContributor
      }
      {
        principalId: deployingDeveloperId
        principalType: developerPrincipalType
        roleId: roles.searchServiceContributor
      }
    ]
  }
}

module store 'modules/store.bicep' = if (usePostgres) {
  name: 'store'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.postgres
    sku: sizes.postgresSku
    tier: sizes.postgresTier
    storageGb: sizes.postgresStorageGb
    backupDays: sizes.postgresBackupDays
    highAvailability: sizes.postgresHighAvailability
    password: postgresPassword
    administratorId: developerPrincipalId
    administratorName: postgresAdministratorName
    administratorType: developerPrincipalType
    isPrivate: usePrivateNetwork
    isOpenToAzure: isPostgresOpenToAzure
    clientAddress: postgresClientAddress
    vaultName: vault.outputs.name
    grants: [
      {
        principalId: identities.outputs.pipelinePrincipalId
        principalType: 'ServicePrincipal'
        roleId: roles.keyVaultSecretsUser
      }
    ]
  }
}

// Ids are made of names here, because a loop has to be known before anything is deployed.
var privateTargets = [
  {
    name: 'vault'
    isUsed: true
    targetId: '${inGroup}/Microsoft.KeyVault/vaults/${names.vault}'
    groupId: 'vault'
    zoneNames: ['privatelink.vaultcore.azure.net']
  }
  {
    name: 'models'
    isUsed: useModels
    targetId: '${inGroup}/Microsoft.CognitiveServices/accounts/${names.foundry}'
    groupId: 'account'
    zoneNames: ['privatelink.cognitiveservices.azure.com', 'privatelink.openai.azure.com', 'privatelink.services.ai.azure.com']
  }
  {
    name: 'workspace'
    isUsed: useAzureMl
    targetId: '${inGroup}/Microsoft.MachineLearningServices/workspaces/${names.workspace}'
    groupId: 'amlworkspace'
    zoneNames: ['privatelink.api.azureml.ms', 'privatelink.notebooks.azure.net']
  }
  {
    name: 'blobs'
    isUsed: useAzureMl
    targetId: '${inGroup}/Microsoft.Storage/storageAccounts/${names.storage}'
    groupId: 'blob'
    zoneNames: ['privatelink.blob.${environment().suffixes.storage}']
  }
  {
    name: 'files'
    isUsed: useAzureMl
    targetId: '${inGroup}/Microsoft.Storage/storageAccounts/${names.storage}'
    groupId: 'file'
    zoneNames: ['privatelink.file.${environment().suffixes.storage}']
  }
  {
    name: 'search'
    isUsed: useSearch
    targetId: '${inGroup}/Microsoft.Search/searchServices/${names.search}'
    groupId: 'searchService'
    zoneNames: ['privatelink.search.windows.net']
  }
  {
    name: 'store'
    isUsed: usePostgres
    targetId: '${inGroup}/Microsoft.DBforPostgreSQL/flexibleServers/${names.postgres}'
    groupId: 'postgresqlServer'
    zoneNames: ['privatelink.postgres.database.azure.com']
  }
]

module privateEndpoints 'modules/private-endpoint.bicep' = [for target in privateTargets: if (usePrivateNetwork && target.isUsed) {
  name: 'private-endpoint-${target.name}'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'pe-${target.name}-${token}'
    subnetId: network!.outputs.endpointsSubnetId
    targetId: target.targetId
    groupId: target.groupId
    zoneNames: target.zoneNames
  }
  dependsOn: [
    vault
    models
    machineLearning
    search
    store
  ]
}]

module alerts 'modules/alerts.bicep' = if (useAlerts) {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    name: names.alerts
    email: alertEmail
    logsId: monitoring.outputs.logsId
    failedPercent: sizes.alertFailedPercent
    latencyMs: sizes.alertLatencyMs
    budgetAmount: budgetAmount
    budgetStartDate: empty(budgetStartDate) ? firstOfMonth : budgetStartDate
  }
}

// Named as deployment files, connections and the pipeline read them. What is not made is an empty text; secrets are in the vault.
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output AZUREML_WORKSPACE string = useAzureMl ? machineLearning!.outputs.name : ''
output AZURE_CONTAINER_APPS_ENVIRONMENT string = useContainerApps ? containerApps!.outputs.name : ''
output AZURE_CONTAINER_REGISTRY string = useRegistry ? registry!.outputs.name : ''
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = useRegistry ? registry!.outputs.loginServer : ''
output AZURE_FLOW_IDENTITY string = identities.outputs.flowId
output AZURE_FLOW_IDENTITY_CLIENT_ID string = identities.outputs.flowClientId
output AZURE_CLIENT_ID string = identities.outputs.pipelineClientId
output AZURE_REVIEW_CLIENT_ID string = identities.outputs.reviewClientId
output AZURE_OPENAI_ENDPOINT string = useModels ? models!.outputs.endpoint : ''
output AZURE_OPENAI_DEPLOYMENT string = useModels ? models!.outputs.deploymentName : ''
output AZURE_SEARCH_ENDPOINT string = useSearch ? search!.outputs.endpoint : ''
output AZURE_KEY_VAULT_ENDPOINT string = vault.outputs.endpoint
output AZURE_STORE_REFERENCE string = usePostgres ? store!.outputs.secretAddress : ''
