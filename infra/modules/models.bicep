// Foundry: an account, a project in it, and the model that flows call. No keys: tokens of Entra ID only.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the account, and of its address.')
param accountName string

@description('Name of the project.')
param projectName string

@description('Model of the deployment `chat`, as the region calls it.')
param chatModel string

@description('Version of the model.')
param chatModelVersion string

@description('SKU of the deployment, which decides where requests are answered and how they are paid.')
param chatModelSku string

@description('Units of the SKU: a thousand tokens a minute of standard ones.')
param chatCapacity int

@description('Whether it is reached through private endpoints only.')
param isPrivate bool

@description('Who gets which role: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource account 'Microsoft.CognitiveServices/accounts@2025-09-01' = {
  name: accountName
  location: location
  tags: tags
  kind: 'AIServices'
  sku: {
    name: 'S0'
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    allowProjectManagement: true
    customSubDomainName: accountName
    disableLocalAuth: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource project 'Microsoft.CognitiveServices/accounts/projects@2025-09-01' = {
  parent: account
  name: projectName
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    displayName: projectName
  }
}

// A version is not replaced by the next before it retires: which is better is decided by a comparison.
resource chat 'Microsoft.CognitiveServices/accounts/deployments@2025-09-01' = {
  parent: account
  name: 'chat'
  sku: {
    name: chatModelSku
    capacity: chatCapacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: chatModel
      version: chatModelVersion
    }
    versionUpgradeOption: 'OnceCurrentVersionExpired'
  }
  dependsOn: [
    project // the account takes one change at a time
  ]
}

resource accountRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(account.id, grant.principalId, grant.roleId)
  scope: account
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

output endpoint string = account.properties.endpoints['OpenAI Language Model Instance API']
output deploymentName string = chat.name
