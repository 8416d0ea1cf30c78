// Package architecture proves the rules that keep the services apart and free
// of users. Each rule is a function over something that was read (the module
// graph, a source tree, the schema of a migrated database) and returns what
// breaks it; its test shows that a planted violation is found.
//
// services/dev-idp stands in for the identity provider that a company already
// has. Users live there, so the rules about users and about participants leave
// it out; the rules about imports, folders and databases do not.
package architecture

// IdentityProvider is the one service that may have users.
const IdentityProvider = "dev-idp"

// Services of the system, in the order of the documentation.
var Services = []string{"orders", "billing", "token-exchange", "identity-relay", "console", IdentityProvider}

// Participants hold data under user IDs and answer every erasure.
var Participants = []string{"orders", "billing", "token-exchange", "identity-relay", "console"}
