// Azure AI Search, for flows that retrieve. No keys: tokens of Entra ID only.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the service, and of its address.')
param name string

@description('SKU.')
param sku string

@description('Copies that answer queries; Azure promises availability of queries from two on, of indexing from three.')
param replicas int

@description('Whether it is reached through private endpoints only.')
param isPrivate bool

@description('Who gets which role: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource search 'Microsoft.Search/searchServices@2025-05-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    disableLocalAuth: true
    partitionCount: 1
    replicaCount: replicas
    semanticSearch: 'free'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

resource searchRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(search.id, grant.principalId, grant.roleId)
  scope: search
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

output endpoint string = 'https://${search.name}.search.windows.net'
