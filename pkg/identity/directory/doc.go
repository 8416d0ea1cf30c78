// Package directory turns user IDs into what a page shows for them: a name and
// a picture. It is the answer to "but I need a JOIN": a service stores IDs and
// looks up a page of them in one call. No service stores names.
//
// A [Client] asks for each ID once however many requests want it, keeps the
// answers within a bound of entries and bytes, hears of changes through the
// identity events ([Client.Follow]), and shows what it knew, up to a stated age,
// while the directory does not answer. A user who was deleted is shown as such.
package directory
