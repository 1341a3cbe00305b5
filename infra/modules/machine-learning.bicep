// The workspace of the target `azureml` and its store, which takes tokens only: no account keys, no public blobs.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the workspace.')
param workspaceName string

@description('Name of its storage account, small letters and digits.')
param storageName string

@description('SKU of the storage account.')
param storageSku string

@description('Resource id of the container registry.')
param registryId string

@description('Name of the vault, which is in this resource group.')
param vaultName string

@description('Resource id of Application Insights.')
param applicationInsightsId string

@description('Whether the workspace and its store are reached through private endpoints only.')
param isPrivate bool

@description('Role id of Azure AI Enterprise Network Connection Approver: the network of the workspace reaches private resources of the group.')
param networkRoleId string

@description('Who gets which role on the workspace: principalId, principalType, roleId. An empty principalId is left out.')
param workspaceGrants array

@description('Who gets which role on the store: principalId, principalType, roleId. An empty principalId is left out.')
param storageGrants array

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: storageName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: storageSku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-12-01' = {
  name: workspaceName
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    friendlyName: workspaceName
    storageAccount: storage.id
    keyVault: vault.id
    applicationInsights: applicationInsightsId
    containerRegistry: registryId
    systemDatastoresAuthMode: 'Identity'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    managedNetwork: {
      isolationMode: isPrivate ? 'AllowInternetOutbound' : 'Disabled'
    }
  }
}

// Azure ML itself gives the identity of the workspace what it needs on its store, its vault and the group, as the workspace is made.
// The same role a second time, under another name, is an error (RoleAssignmentExists), so none of these is given here.
resource workspaceInGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (isPrivate) {
  name: guid(resourceGroup().id, workspace.id, networkRoleId)
  properties: {
    principalId: workspace.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', networkRoleId)
  }
}

resource workspaceRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in workspaceGrants: if (!empty(grant.principalId)) {
  name: guid(workspace.id, grant.principalId, grant.roleId)
  scope: workspace
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

resource storageRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in storageGrants: if (!empty(grant.principalId)) {
  name: guid(storage.id, grant.principalId, grant.roleId)
  scope: storage
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

output name string = workspace.name
