package harness

import "math/rand/v2"

// faults is a provider whose every hundredth webhook is lost, every hundredth
// comes twice, and every hundredth comes after all others. The same for everybody.
type faults struct {
	random         *rand.Rand
	lost, repeated int
	late           []delivery
}

func newFaults() *faults {
	return &faults{random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same faults in every run
}

// draw returns what of a batch is sent now. What is late is kept until
// everything else was sent.
func (f *faults) draw(batch []delivery) (sent []delivery) {
	const percent = 100
	for _, d := range batch {
		switch f.random.IntN(percent) {
		case 0:
			f.lost++
		case 1:
			sent, f.repeated = append(sent, d, d), f.repeated+1
		case 2:
			f.late = append(f.late, d)
		default:
			sent = append(sent, d)
		}
	}
	return sent
}
