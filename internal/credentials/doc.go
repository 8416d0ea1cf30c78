// Package credentials makes everything secret that a cluster needs: a
// certificate authority with one certificate per server, NATS users, database
// logins, API keys and the services' own keys. It prints them as Kubernetes
// Secrets; nothing secret is in the repository.
//
// What was made once is remembered in a file that only its owner can read, so
// that a second run prints the same Secrets. What only an identity provider can
// give (a client's secret, an administrator's login) is read from a folder.
package credentials
