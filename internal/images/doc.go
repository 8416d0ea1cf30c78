// Package images builds the container images of the services without a Docker
// daemon: a static binary, the certificates of public authorities and an empty
// file system around them. The same sources, Go release and platform give the
// same bytes, so an image's digest says what is in it.
package images
