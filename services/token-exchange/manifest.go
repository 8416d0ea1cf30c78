package tokenexchange

import (
	_ "embed"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

//go:embed manifest.yaml
var manifest []byte

// Manifest is what an erasure does with the service's data.
func Manifest() (*participant.Manifest, error) { return participant.ParseManifest(manifest) }
