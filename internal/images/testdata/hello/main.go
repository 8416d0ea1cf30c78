// The program of a test image.
package main

import "fmt"

func main() { fmt.Println("hello") }
