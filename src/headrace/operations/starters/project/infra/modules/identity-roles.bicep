// Who may give the identity of the flows to an endpoint or an app.

@description('Name of the identity that endpoints and apps run as.')
param flowName string

@description('Who gets which role: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource flowIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: flowName
}

resource identityRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(flowIdentity.id, grant.principalId, grant.roleId)
  scope: flowIdentity
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]
