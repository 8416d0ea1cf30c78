// Package harness runs the two archetypes side by side on one machine, with one
// Postgres, and measures both in turns. Each service is a process of its own, of
// this very program; the harness makes the load, plays the part of the identity
// provider that signs tokens and delivers webhooks, and looks into the databases.
//
// Run returns a report; what could not be measured is not in it.
package harness
