package doctor

import (
	"fmt"
	"io"
)

// Verdict on one probe.
type Verdict string

// The verdicts.
const (
	Refused  Verdict = "refused"
	Accepted Verdict = "ACCEPTED"
	// Unclear: no answer, or one that is neither; nothing was shown.
	Unclear Verdict = "unclear"
	// Skipped: the deployment has nothing that could be probed so.
	Skipped Verdict = "skipped"
)

// Result of one probe. Neither text ever holds a secret.
type Result struct {
	Sent    string // what was sent, in words
	Answer  string // how it was answered: status and code
	Verdict Verdict
}

// Print writes a line per result and a summary.
func Print(w io.Writer, results []Result) error {
	for _, r := range results {
		if _, err := fmt.Fprintf(w, "%-8s  %-76s  %s\n", r.Verdict, r.Sent, r.Answer); err != nil {
			return err
		}
	}
	counts := map[Verdict]int{}
	for _, r := range results {
		counts[r.Verdict]++
	}
	_, err := fmt.Fprintf(w, "%d refused, %d accepted, %d unclear, %d skipped\n", counts[Refused], counts[Accepted], counts[Unclear], counts[Skipped])
	return err
}

// Err is nil when everything that could be probed was refused.
func Err(results []Result) error {
	accepted, unclear := 0, 0
	for _, r := range results {
		switch r.Verdict {
		case Accepted:
			accepted++
		case Unclear:
			unclear++
		case Refused, Skipped:
		}
	}
	switch {
	case accepted > 0:
		return fmt.Errorf("%d of %d probes were accepted", accepted, len(results))
	case unclear > 0:
		return fmt.Errorf("%d of %d probes got no answer that says anything", unclear, len(results))
	}
	return nil
}
