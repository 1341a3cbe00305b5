// PostgreSQL for the runs of a team. People sign in with tokens of Entra ID; what runs for longer than a token lives uses the
// password, which whoever provisions gives and which stands in the vault only.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the server, and of its address.')
param name string

@description('Size of the machine.')
param sku string

@description('Tier of the machine.')
@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param tier string

@description('Size of the disk, in GB.')
param storageGb int

@description('How long backups are kept, in days.')
param backupDays int

@description('Whether a second machine takes over: Disabled, SameZone or ZoneRedundant.')
@allowed(['Disabled', 'SameZone', 'ZoneRedundant'])
param highAvailability string

@description('Password of the user of headrace. Empty or null: only Entra ID, and no secret in the vault.')
@secure()
param password string?

@description('Object id of the person or group that administers the server; empty for none.')
param administratorId string

@description('Name of that person (user principal name) or group; empty for none.')
param administratorName string

@description('Whether that is a User, a Group or a ServicePrincipal.')
param administratorType string

@description('Whether it is reached through private endpoints only.')
param isPrivate bool

@description('Whether every machine in Azure, also of others, may try to sign in.')
param isOpenToAzure bool

@description('One IPv4 address that may connect; empty for none.')
param clientAddress string

@description('Name of the vault, which is in this resource group.')
param vaultName string

@description('Who may read the address of the store: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

var user = 'headrace'
var usePassword = !empty(password)
var secretName = 'headrace-store'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
    tier: tier
  }
  properties: {
    createMode: 'Default'
    version: '17'
    administratorLogin: usePassword ? user : null
    administratorLoginPassword: usePassword ? password : null
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: usePassword ? 'Enabled' : 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: {
      storageSizeGB: storageGb
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: backupDays
      geoRedundantBackup: 'Disabled'
    }
    highAvailability: {
      mode: highAvailability
    }
    network: {
      publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    }
  }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01' = {
  parent: server
  name: 'headrace'
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = if (!empty(administratorId) && !empty(administratorName)) {
  parent: server
  name: empty(administratorId) ? 'none' : administratorId
  properties: {
    principalName: administratorName
    principalType: administratorType
    tenantId: tenant().tenantId
  }
  dependsOn: [
    database // the server takes one change at a time
  ]
}

// From 0.0.0.0 to 0.0.0.0 is how the service writes "from any machine in Azure".
resource azureRule 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = if (isOpenToAzure && !isPrivate) {
  parent: server
  name: 'azure'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
  dependsOn: [
    administrator
  ]
}

resource clientRule 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = if (!empty(clientAddress) && !isPrivate) {
  parent: server
  name: 'client'
  properties: {
    startIpAddress: clientAddress
    endIpAddress: clientAddress
  }
  dependsOn: [
    azureRule
  ]
}

resource storeSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (usePassword) {
  parent: vault
  name: secretName
  properties: {
    contentType: 'HEADRACE_STORE'
    value: 'postgresql://${user}:${uriComponent(password ?? '')}@${server.properties.fullyQualifiedDomainName}/${database.name}?sslmode=require'
  }
}

resource storeRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (usePassword && !empty(grant.principalId)) {
  name: guid(storeSecret.id, grant.principalId, grant.roleId)
  scope: storeSecret
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

@description('Where the address of the store is, if there is a password.')
output secretAddress string = '${vault.properties.vaultUri}secrets/${secretName}'
