// Where logs, spans and metrics go.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the Log Analytics workspace.')
param logsName string

@description('Name of Application Insights.')
param applicationInsightsName string

@description('How long logs are kept, in days.')
param retentionDays int

@description('What is taken in on one day, in GB; -1 for no limit.')
param dailyQuotaGb int

@description('Who gets which role on the logs: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: logsName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    workspaceCapping: {
      dailyQuotaGb: dailyQuotaGb
    }
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

// DisableLocalAuth stays off: the exporter of headrace and the endpoints of Azure ML send with the connection string.
// It lets in data and reads none, and is kept in the vault, not in an output.
resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    IngestionMode: 'LogAnalytics'
  }
}

resource logRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(logs.id, grant.principalId, grant.roleId)
  scope: logs
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]

output logsId string = logs.id
output applicationInsightsId string = applicationInsights.id
output applicationInsightsName string = applicationInsights.name
