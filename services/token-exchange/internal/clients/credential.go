package clients

// Credential is what a caller presents to prove which client it is: an API key
// or an assertion, never both.
type Credential struct {
	ClientID string // what it calls itself; "": whoever the credential belongs to
	APIKey   string
	// Assertion is a workload's own token (RFC 7523, section 2.2).
	Assertion     string
	AssertionType string
	// Address of the caller, without port.
	Address string
}
