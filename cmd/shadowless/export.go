package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

type exportCommand struct {
	operatorFlags
	UserID string `arg:"" help:"The user ID, byte for byte."`
	Out    string `help:"Write to this file, readable by you alone, instead of standard output." type:"path"`
}

// Run writes one JSON document with everything that all participants hold. It
// fails when one of them did not answer; the document says so as well.
func (c *exportCommand) Run(ctx context.Context) (err error) {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	out := os.Stdout
	if c.Out != "" {
		if out, err = os.OpenFile(c.Out, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("open the document: %w", err)
		}
		defer func() {
			if closing := out.Close(); err == nil {
				err = closing
			}
		}()
	}
	begun, err := r.StartExport(ctx, c.UserID)
	if err != nil {
		return err
	}
	missing, err := writeExport(ctx, out, r, begun, c.UserID)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: no answer from %s", errIncomplete, strings.Join(missing, ", "))
	}
	return nil
}

// exportedPage is a part of the document; a table that is long has several.
type exportedPage struct {
	Participant string               `json:"participant"`
	Table       string               `json:"table"`
	Columns     []string             `json:"columns"`
	Withheld    []api.WithheldColumn `json:"withheld"`
	Rows        []json.RawMessage    `json:"rows"`
}

// writeExport writes page by page: no more than one is in memory. It returns
// who did not answer to the end.
func writeExport(ctx context.Context, to io.Writer, r *api.Client, begun api.Export, userID string) (missing []string, err error) {
	out := bufio.NewWriter(to)
	head, err := json.Marshal(struct {
		ExportID string    `json:"export_id"`
		UserID   string    `json:"user_id"`
		At       time.Time `json:"at"`
	}{begun.ID, userID, begun.StartedAt})
	if err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	fmt.Fprintf(out, "%s,\n\"data\": [", head[:len(head)-1])
	separator := "\n"
	for _, a := range begun.Answers {
		for cursor := ""; ; {
			page, err := r.ExportPage(ctx, begun.ID, userID, a.Participant, cursor)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", a.Participant, err)
				missing = append(missing, a.Participant)
				break
			}
			raw, err := json.Marshal(exportedPage{a.Participant, page.Table, page.Columns, page.Withheld, page.Rows})
			if err != nil {
				return nil, fmt.Errorf("encode the document: %w", err)
			}
			fmt.Fprintf(out, "%s%s", separator, raw)
			separator = ",\n"
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	names := missing
	if names == nil {
		names = []string{}
	}
	tail, err := json.Marshal(names)
	if err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	fmt.Fprintf(out, "\n],\n\"complete\": %t,\n\"did_not_answer\": %s}\n", len(missing) == 0, tail)
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return missing, nil
}
