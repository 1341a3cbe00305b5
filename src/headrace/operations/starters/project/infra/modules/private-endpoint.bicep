// The private address of one resource, and its names in zones of this resource group.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the endpoint.')
param name string

@description('Resource id of the subnet.')
param subnetId string

@description('Resource id of what is reached.')
param targetId string

@description('Which part of it: vault, account, registry, blob and so on.')
param groupId string

@description('Names of the private DNS zones that hold its names.')
param zoneNames array

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [for zoneName in zoneNames: {
      name: replace(zoneName, '.', '-')
      properties: {
        privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zoneName)
      }
    }]
  }
}
