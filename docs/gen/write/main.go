// Command write replaces the generated documents: go run ./docs/gen/write [docs].
package main

import (
	"fmt"
	"os"

	"github.com/shadowless/shadowless/docs/gen"
)

func main() {
	dir := "docs"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := gen.Write(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
