// Package directory turns user IDs into what a page shows for them: a name and
// a picture. It is the answer to "but I need a JOIN": a service stores IDs and
// looks up a page of them in one call. No service stores names.
package directory
