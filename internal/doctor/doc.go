// Package doctor examines a running deployment from outside, with nothing but an
// operator's key. Refusals sends what must be refused and tells how it was: a
// deployment that accepts any of it is not to be trusted.
package doctor
