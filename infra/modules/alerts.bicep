// Mails when flows fail, are slow, or cost more than they should. Failures and latency are read from the requests that servers
// of headrace send to Application Insights.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Beginning of the names of what is made here.')
param name string

@description('Address that gets the mails.')
param email string

@description('Resource id of the Log Analytics workspace.')
param logsId string

@description('Percentage of requests with a status of 500 or more, in 15 minutes, above which a mail is sent.')
param failedPercent int

@description('Latency that 95 of 100 requests keep, in 15 minutes, above which a mail is sent, in milliseconds.')
param latencyMs int

@description('What the resource group may cost in a month, in the currency of the subscription; 0 for no budget.')
param budgetAmount int

@description('First month of the budget: its first day, as 2026-12-01.')
param budgetStartDate string

var rules = [
  {
    name: 'failed'
    text: 'Requests with a status of 500 or more, percent'
    query: 'AppRequests | summarize Requests = sum(ItemCount), Failed = sumif(ItemCount, toint(ResultCode) >= 500) | where Requests >= 20 | project Measured = 100.0 * Failed / Requests'
    threshold: failedPercent
    severity: 1
  }
  {
    name: 'latency'
    text: 'Latency of requests, 95th percentile, milliseconds'
    query: 'AppRequests | summarize Requests = sum(ItemCount), Measured = percentile(DurationMs, 95) | where Requests >= 20 | project Measured'
    threshold: latencyMs
    severity: 2
  }
]
var spendMarks = [
  {
    name: 'half'
    threshold: 50
    kind: 'Actual'
  }
  {
    name: 'most'
    threshold: 80
    kind: 'Actual'
  }
  {
    name: 'all'
    threshold: 100
    kind: 'Actual'
  }
  {
    name: 'expected'
    threshold: 100
    kind: 'Forecasted'
  }
]
var notifications = toObject(spendMarks, mark => mark.name, mark => {
  enabled: true
  operator: 'GreaterThanOrEqualTo'
  threshold: mark.threshold
  thresholdType: mark.kind
  contactEmails: [
    email
  ]
})

resource mails 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'flows'
    enabled: true
    emailReceivers: [
      {
        name: 'team'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource queryRules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${name}-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${name}-${rule.name}'
    description: rule.text
    severity: rule.severity
    enabled: true
    autoMitigate: true
    skipQueryValidation: true // the table is not there before the first request
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    scopes: [
      logsId
    ]
    criteria: {
      allOf: [
        {
          query: rule.query
          metricMeasureColumn: 'Measured'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        mails.id
      ]
    }
  }
}]

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = if (budgetAmount > 0) {
  name: name
  properties: {
    category: 'Cost'
    amount: budgetAmount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: budgetStartDate
    }
    notifications: notifications
  }
}
