// Secrets: what cannot be an identity. Roles decide who reads them, not access policies.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the vault.')
param name string

@description('Whether nobody can purge it before its retention is over. Cannot be taken back.')
param isProtectedFromPurge bool

@description('How long the vault and its secrets can be got back once deleted, in days. Cannot be changed later.')
param retentionDays int

@description('Whether it is reached through private endpoints only.')
param isPrivate bool

@description('Name of the Application Insights whose connection string is kept here.')
param applicationInsightsName string

@description('Who gets which role: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: retentionDays
    enablePurgeProtection: isProtectedFromPurge ? true : null // false is refused once it was true
    publicNetworkAccess: isPrivate ? 'disabled' : 'enabled'
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource connectionString 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'applicationinsights-connection-string'
  properties: {
    contentType: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
    value: applicationInsights.properties.ConnectionString
  }
}

resource vaultRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(vault.id, grant.principalId, grant.roleId)
  scope: vault
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

output id string = vault.id
output name string = vault.name
output endpoint string = vault.properties.vaultUri
