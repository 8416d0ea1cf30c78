// Package report says what a comparison of the two archetypes measured: the
// numbers of every run, what they amount to, and the same as JSON, as Markdown
// and as one HTML page with its charts in it. It knows nothing of how anything
// was measured, and states nothing that is not computed from the numbers.
package report
