// Where images are built and kept. It keeps a public address, because its tasks and the pipeline build through it; who asks
// needs a token.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the registry, letters and digits.')
param name string

@description('SKU: Basic, Standard or Premium.')
param sku string

@description('Whether images are kept in several zones; needs Premium.')
param isZoneRedundant bool

@description('Who gets which role: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    zoneRedundancy: isZoneRedundant && sku == 'Premium' ? 'Enabled' : 'Disabled'
  }
}

resource registryRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(registry.id, grant.principalId, grant.roleId)
  scope: registry
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

output id string = registry.id
output name string = registry.name
output loginServer string = registry.properties.loginServer
