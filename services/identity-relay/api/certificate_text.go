package api

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// textReceipt is what the text tells of a receipt; the JSON quotes it whole.
type textReceipt struct {
	Manifest string `json:"manifest_sha256"`
	Columns  []struct {
		Table         string     `json:"table"`
		Column        string     `json:"column"`
		Disposition   string     `json:"disposition"`
		Rows          int64      `json:"rows"`
		Remaining     int64      `json:"remaining"`
		LegalReason   string     `json:"legal_reason"`
		RetainedUntil *time.Time `json:"retained_until"`
	} `json:"columns"`
}

// WriteText writes the certificate for people to read. It says nothing that the
// JSON does not say. It returns an error for a receipt that is not one, or w's.
func (c Certificate) WriteText(w io.Writer) error {
	out := &errWriter{w: w}
	fmt.Fprintf(out, "CERTIFICATE OF ERASURE\n\n")
	head := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(head, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	line("Erasure", "%s", c.ErasureID)
	line("Edition", "%d, issued %s", c.Edition, moment(c.IssuedAt))
	line("User", "%s of the user ID under the key %s:", c.User.Algorithm, c.User.KeyID)
	line("", "%s", c.User.Hash)
	line("Opened", "%s, by %s", moment(c.OpenedAt), c.Source)
	line("Asked", "%s, %s", moment(c.RequestedAt), times(c.Rounds))
	line("Complete", "%s", moment(c.CompletedAt))
	if c.ReadmittedAt != nil {
		line("Readmitted", "%s: the user may have data again since", moment(*c.ReadmittedAt))
	}
	_ = head.Flush() // out keeps the error
	fmt.Fprintf(out, "\nWhat each participant did\n")
	if err := writeReceipts(out, c.Receipts, c.Rounds > 1); err != nil {
		return err
	}
	if len(c.RetentionEnded) > 0 {
		fmt.Fprintf(out, "\nWhat was kept for a time, and has ended\n")
		if err := writeReceipts(out, c.RetentionEnded, false); err != nil {
			return err
		}
	}
	if len(c.Decisions) > 0 {
		fmt.Fprintf(out, "\nWhat was decided\n")
		for _, d := range c.Decisions {
			fmt.Fprintf(out, "  %s  %s by %s%s\n", moment(d.At), strings.ReplaceAll(d.Decision, "_", " "), d.By, because(d.Reason))
		}
	}
	fmt.Fprintf(out, "\nStream %s: %d messages deleted. %s It is %s.\n", c.Stream.Name, c.Stream.MessagesDeleted, c.Stream.Statement,
		time.Duration(c.Stream.MaxAgeSeconds)*time.Second)
	fmt.Fprintf(out, "Revocation: %s\n", c.Revocation)
	return out.err
}

func writeReceipts(out io.Writer, receipts []QuotedReceipt, rounds bool) error {
	for _, q := range receipts {
		var r textReceipt
		if err := json.Unmarshal(q.Receipt, &r); err != nil {
			return fmt.Errorf("read the receipt of %s: %w", q.Participant, err)
		}
		round := ""
		if rounds && q.Round > 0 {
			round = fmt.Sprintf(", round %d", q.Round)
		}
		fmt.Fprintf(out, "  %s%s, %s, manifest %.12s\n", q.Participant, round, moment(q.AnsweredAt), r.Manifest)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, c := range r.Columns {
			kept := ""
			if c.RetainedUntil != nil {
				kept = fmt.Sprintf("until %s: %s", c.RetainedUntil.UTC().Format(time.DateOnly), c.LegalReason)
			}
			fmt.Fprintf(table, "    %s.%s\t%s\t%d rows\t%d left\t%s\n", c.Table, c.Column, c.Disposition, c.Rows, c.Remaining, kept)
		}
		_ = table.Flush() // out keeps the error
	}
	return nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func times(n int) string {
	if n <= 1 {
		return "once"
	}
	return fmt.Sprintf("%d times, the last one then", n)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// errWriter keeps the first error, so that one look at the end is enough.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(p []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(p)
	}
	return len(p), nil
}
