// Package deploy checks the manifests without a cluster. Each rule is a function
// over what an overlay renders and returns what breaks it; its test shows that a
// planted violation is found.
package deploy
