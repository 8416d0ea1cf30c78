package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shadowless/shadowless/compare/harness"
	"github.com/shadowless/shadowless/compare/report"
)

type compareCommand struct {
	Users     int      `help:"Users of the identity provider; 100000 if not given." placeholder:"N" xor:"size"`
	Runs      int      `help:"How often each archetype is measured, in turns; 6, or with --quick 3, if not given. A million users: --users 1000000 --runs 1." placeholder:"N"`
	Quick     bool     `help:"Few users and short runs: rough numbers within two minutes." xor:"size"`
	Only      []string `help:"Only these scenarios, separated by commas."`
	Out       string   `help:"Where the reports go." default:"bin/compare" type:"path"`
	From      string   `help:"Measure nothing: render this report.json again." type:"existingfile"`
	SkipFsync bool     `help:"A forgetful Postgres, for disks that are slower than any that would be used."`
}

// usualUsers is how many there are when nobody says.
const usualUsers = 100_000

// options of the comparison that the flags ask for.
func (c *compareCommand) options() harness.Options {
	o := harness.Full(cmp.Or(c.Users, usualUsers))
	if c.Quick {
		o = harness.Quick()
	}
	o.Runs, o.Only, o.SkipFsync = cmp.Or(c.Runs, o.Runs), c.Only, c.SkipFsync
	o.Start = func(part harness.Part, argument string) []string {
		return []string{comparePart, string(part), argument}
	}
	return o
}

// comparePart is the hidden command of the processes that a comparison starts.
const comparePart = "compare-part"

type comparePartCommand struct {
	Part     string `arg:""`
	Argument string `arg:""`
}

// Run plays one of the parts.
func (c *comparePartCommand) Run() error { return harness.Play(harness.Part(c.Part), c.Argument) }

// Run measures both archetypes and writes the reports.
func (c *compareCommand) Run(ctx context.Context) error {
	if c.From != "" {
		r, err := report.Read(c.From)
		if err != nil {
			return err
		}
		return c.write(r)
	}
	o := c.options()
	bar := newBar(os.Stderr)
	o.Progress = bar.show
	r, err := harness.Run(ctx, o)
	bar.end()
	if err != nil {
		return err
	}
	fmt.Printf("Measured in %s.\n", time.Duration(r.Seconds*float64(time.Second)).Round(time.Second))
	return c.write(r)
}

func (c *compareCommand) write(r *report.Report) error {
	if err := r.Write(c.Out); err != nil {
		return err
	}
	for _, name := range []string{"report.html", "report.md", "report.json"} {
		fmt.Println(" ", filepath.Join(c.Out, name))
	}
	return nil
}

// progressBar rewrites one line on a terminal, and writes one for each step elsewhere.
type progressBar struct {
	out      *os.File
	terminal bool
	begun    time.Time
}

func newBar(out *os.File) *progressBar {
	info, err := out.Stat()
	return &progressBar{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, begun: time.Now()}
}

func (b *progressBar) show(done float64, what string) {
	const width = 30
	full := int(done * width)
	line := fmt.Sprintf("[%s%s] %3.0f %%  %s  %s", strings.Repeat("█", full), strings.Repeat("░", width-full), done*100,
		time.Since(b.begun).Round(time.Second), what)
	if b.terminal {
		fmt.Fprintf(b.out, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(b.out, line)
}

func (b *progressBar) end() {
	if b.terminal {
		fmt.Fprintln(b.out)
	}
}
