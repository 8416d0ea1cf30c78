// Package devstack runs the whole system on one machine: a private PostgreSQL,
// an embedded NATS with the users and permissions of a cluster, the development
// identity provider and every service, each with the environment that its own
// command would be given. What it makes is kept in one state directory.
package devstack
