// Package identitytest gives tests a real PostgreSQL and a real NATS server.
// The PostgreSQL server is shared by the tests of one binary, each test has a
// database of its own; each NATS server belongs to one test.
package identitytest
