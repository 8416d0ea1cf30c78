// Package docs reads the repository's documentation and finds what in it is not
// true any more: links and anchors that lead nowhere, tests, files, make targets,
// metrics and environment variables that do not exist, snippets that do not
// compile or parse, commands that nothing proves.
//
// A block of sh or sql is proven in one of three ways. Every line of it is one
// plain command that can be held to the source: make by its targets, go run and go
// test by their packages, and by their tests where they name one. Or the line
// above it names the test that runs it, as it must for shadowless,
//
//	<!-- run by cmd/shadowless.TestOperate -->
//
// or says why nothing does:
//
//	<!-- illustration: needs a cluster -->
//
// Blocks of go are lines of the source or compile, those of yaml and json parse.
package docs
