// Command console runs the web page alone.
package main

import (
	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/services/console"
)

func main() { service.Main(console.Name, console.Prefix, console.Run) }
