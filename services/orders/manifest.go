package orders

import (
	_ "embed"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

//go:embed manifest.yaml
var manifest []byte

// Manifest is what an erasure does with the data of orders.
func Manifest() (*participant.Manifest, error) { return participant.ParseManifest(manifest) }
