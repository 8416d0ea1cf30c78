// Package deploy holds the manifests and says, in one table, who talks to whom.
// The NetworkPolicies, their test and docs/network.md all follow the table.
package deploy
