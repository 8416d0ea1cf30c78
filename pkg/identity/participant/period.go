package participant

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Period is a calendar period, ISO 8601 without a time part: P10Y, P1Y6M, P30D, P2W.
type Period struct{ Years, Months, Days int }

var periodPattern = regexp.MustCompile(`^P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?$`)

var errPeriod = errors.New("not a period such as P10Y, P6M or P30D")

// ParsePeriod reads a period greater than zero.
func ParsePeriod(s string) (Period, error) {
	parts := periodPattern.FindStringSubmatch(s)
	if parts == nil {
		return Period{}, errPeriod
	}
	var n [4]int
	for i, digits := range parts[1:] {
		if digits == "" {
			continue
		}
		value, err := strconv.Atoi(digits)
		if err != nil {
			return Period{}, errPeriod
		}
		n[i] = value
	}
	p := Period{Years: n[0], Months: n[1], Days: 7*n[2] + n[3]}
	if p == (Period{}) {
		return Period{}, errPeriod
	}
	return p, nil
}

// After returns the end of the period that starts at t.
func (p Period) After(t time.Time) time.Time { return t.AddDate(p.Years, p.Months, p.Days) }

// String returns the period in ISO 8601.
func (p Period) String() string {
	var s strings.Builder
	s.WriteByte('P')
	for _, part := range []struct {
		n    int
		unit string
	}{{p.Years, "Y"}, {p.Months, "M"}, {p.Days, "D"}} {
		if part.n > 0 {
			s.WriteString(strconv.Itoa(part.n) + part.unit)
		}
	}
	return s.String()
}

// UnmarshalYAML reads a period.
func (p *Period) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := ParsePeriod(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*p = parsed
	return nil
}

// MarshalYAML writes the period as ISO 8601.
func (p Period) MarshalYAML() (any, error) { return p.String(), nil }

// IsZero reports whether no period is set.
func (p Period) IsZero() bool { return p == Period{} }
