// Where apps of the target `aca` live. Their logs go to Log Analytics by a diagnostic setting, which needs no key.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the environment.')
param name string

@description('Resource id of the Log Analytics workspace.')
param logsId string

@description('Resource id of the subnet of the apps; empty for no virtual network.')
param subnetId string

@description('Whether copies are spread over zones; needs a virtual network.')
param isZoneRedundant bool

resource appsEnvironment 'Microsoft.App/managedEnvironments@2026-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
    vnetConfiguration: empty(subnetId) ? null : {
      infrastructureSubnetId: subnetId
      internal: false
    }
    zoneRedundant: isZoneRedundant && !empty(subnetId)
  }
}

resource appLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: appsEnvironment
  properties: {
    workspaceId: logsId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

output name string = appsEnvironment.name
