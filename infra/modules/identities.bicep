// Who runs flows, who deploys them from the pipeline, and who looks at a pull request there, which runs code that nobody has
// read yet. What each may do is said where the resource is.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the identity that endpoints and apps run as.')
param flowName string

@description('Name of the identity of the pipeline.')
param pipelineName string

@description('The repository as GitHub writes it into its tokens: OWNER/NAME, or OWNER@ID/NAME@ID. Empty: no identity for a pipeline.')
param githubRepository string

@description('Name of the identity of jobs on pull requests.')
param reviewName string

@description('Environments of the repository whose jobs may sign in as the pipeline.')
param deployingEnvironments array

@description('Environments of the repository whose jobs may sign in to look at a pull request.')
param reviewingEnvironments array

var usePipeline = !empty(githubRepository)

resource flowIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: flowName
  location: location
  tags: tags
  properties: {}
}

resource pipelineIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (usePipeline) {
  name: pipelineName
  location: location
  tags: tags
  properties: {}
}

resource reviewIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (usePipeline) {
  name: reviewName
  location: location
  tags: tags
  properties: {}
}

// One after another: an identity takes one change of its credentials at a time.
@batchSize(1)
resource pipelineCredentials 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [for githubEnvironment in deployingEnvironments: if (usePipeline) {
  parent: pipelineIdentity
  name: 'github-${githubEnvironment}'
  properties: {
    issuer: 'https://token.actions.githubusercontent.com'
    subject: 'repo:${githubRepository}:environment:${githubEnvironment}'
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}]

@batchSize(1)
resource reviewCredentials 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [for githubEnvironment in reviewingEnvironments: if (usePipeline) {
  parent: reviewIdentity
  name: 'github-${githubEnvironment}'
  properties: {
    issuer: 'https://token.actions.githubusercontent.com'
    subject: 'repo:${githubRepository}:environment:${githubEnvironment}'
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}]

output flowId string = flowIdentity.id
output flowPrincipalId string = flowIdentity.properties.principalId
output flowClientId string = flowIdentity.properties.clientId
output pipelinePrincipalId string = usePipeline ? pipelineIdentity!.properties.principalId : ''
output pipelineClientId string = usePipeline ? pipelineIdentity!.properties.clientId : ''
output reviewPrincipalId string = usePipeline ? reviewIdentity!.properties.principalId : ''
output reviewClientId string = usePipeline ? reviewIdentity!.properties.clientId : ''
