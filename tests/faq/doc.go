// Package faq answers the questions that people bring to the project. Each
// question is a test, most of them against the running system, and the answer is
// the test's comment: its first line names the question, the rest is the text of
// docs/faq.md, which [Document] renders.
package faq
