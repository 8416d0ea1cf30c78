package keyring

// What may depend on a key.
const (
	APIKeys     = "api_keys"
	Blocks      = "blocks"
	SigningKeys = "signing_keys"
)

// Use is how much depends on one key.
type Use struct {
	KeyID string
	What  string
	Count int64
}
