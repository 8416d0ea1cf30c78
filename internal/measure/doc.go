// Package measure is what the benchmark commands share: processes that are
// watched from outside, load at a rate, and what is said of many numbers.
package measure
