// Roles in the whole resource group: for what is made in it later, which has no scope of its own yet.

@description('Who gets which role: principalId, principalType, roleId. An empty principalId is left out.')
param grants array

resource groupRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: if (!empty(grant.principalId)) {
  name: guid(resourceGroup().id, grant.principalId, grant.roleId)
  properties: {
    principalId: grant.principalId
    principalType: grant.principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.roleId)
  }
}]
