//go:build long

package zombies

// systems run beside each other; each runs a hundred schedules.
const systems = 20
