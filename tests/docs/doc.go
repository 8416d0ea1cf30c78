// Package docs reads the repository's documentation and finds what in it is not
// true any more: links and anchors that lead nowhere, tests, files, make targets
// and metrics that do not exist, snippets that do not compile or parse, commands
// that nothing has run.
//
// A block of sh or sql is proven in one of three ways. Every command in it is one
// that can be checked (shadowless, whose command line cmd/shadowless checks; make;
// go run and go test); or the line above it names the test that runs it,
//
//	<!-- run by cmd/shadowless.TestOperate -->
//
// or says why nothing does:
//
//	<!-- illustration: needs a cluster -->
//
// Blocks of go are lines of the source or compile, those of yaml and json parse.
package docs
