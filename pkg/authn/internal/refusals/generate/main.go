// Command generate writes the data files into the directory given, or into
// testdata/refusals.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/shadowless/shadowless/pkg/authn/internal/refusals"
)

func main() {
	dir := filepath.Join("testdata", "refusals")
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		log.Fatal(err)
	}
	for name, content := range refusals.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
