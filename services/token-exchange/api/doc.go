// Package api is what other programs may know of token-exchange: the format of
// its API keys, the wire types of its administration, and a client for it.
package api
