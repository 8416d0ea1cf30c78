// Package faults holds the running system to what docs/faults.md says: parts of
// it are killed, cut off, slowed down or flooded while orders are placed, webhooks
// arrive and users are deleted, and in the end nothing is lost, nothing was
// applied twice and every erasure is complete.
//
//	go test ./tests/faults -run TestFaults/nats-killed -v
//
// runs one case. `make faults` runs all of them and writes the document.
package faults
