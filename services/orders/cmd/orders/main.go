// Command orders runs the orders service alone.
package main

import (
	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/services/orders"
)

func main() { service.Main(orders.Name, orders.Prefix, orders.Run) }
