// Package journey walks the golden journey against a running system: one user
// from sign-up to deletion, through every service, an outage of the identity
// provider included. It is the demonstration and the end-to-end test at once; a
// step that does not go as described ends it with the reason.
package journey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/devstack"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

// eventually bounds how long a step waits for what happens by event.
const (
	eventually = 30 * time.Second
	poll       = 20 * time.Millisecond
)

// step is one thing that happens.
type step struct {
	title   string
	between string // who talks to whom
	do      func(context.Context) (what string, err error)
}

// chapter is some steps that belong together.
type chapter struct {
	title string
	steps []step
}

// Journey is one walk.
type Journey struct {
	system  *devstack.Running
	out     io.Writer
	http    *http.Client
	orders  *ordersapi.Client
	billing *billingapi.Client

	// What the walk learns on its way.
	email, password string
	user, staff     *Person
	paid, other     ordersapi.Order // two that are paid
	spare, second   ordersapi.Order // two that are canceled
	known           map[string]bool // erasures before this one
	erasureID       string
	kept            map[string]string // where a receipt says that the ID stays, and why
	idpStopped      bool
}

// New prepares a walk through the running system; what happens is printed to out.
func New(system *devstack.Running, out io.Writer) (*Journey, error) {
	j := &Journey{system: system, out: out, http: &http.Client{Timeout: eventually}, kept: map[string]string{}}
	var err error
	if j.orders, err = ordersapi.NewClient(system.Ports.URL(devstack.Orders), j.http); err != nil {
		return nil, err
	}
	if j.billing, err = billingapi.NewClient(system.Ports.URL(devstack.Billing), j.http); err != nil {
		return nil, err
	}
	return j, nil
}

func (j *Journey) chapters() []chapter {
	return []chapter{j.signUp(), j.order(), j.refund(), j.outage(), j.signOut(), j.erasure()}
}

// observed tells that the IdP behaves as it was observed, not as it promises.
func (j *Journey) observed() bool { return j.system.As == devstack.Observed }

// Walk takes every step in turn and stops at the first that fails. It has the
// system for itself, and leaves it running however it ends: the IdP that it
// stopped is started again.
func (j *Journey) Walk(ctx context.Context) (err error) {
	release, err := j.system.Reserve()
	if err != nil {
		return err
	}
	defer func() {
		if j.idpStopped {
			err = errors.Join(err, j.startIDP(context.WithoutCancel(ctx)))
		}
		err = errors.Join(err, release())
	}()
	fmt.Fprintf(j.out, "The golden journey. The IdP behaves as %s.\n", j.system.As)
	start := time.Now()
	number := 0
	for _, chapter := range j.chapters() {
		fmt.Fprintf(j.out, "\n%s\n", chapter.title)
		for _, s := range chapter.steps {
			number++
			begun := time.Now()
			what, err := s.do(ctx)
			if err != nil {
				fmt.Fprintf(j.out, "%3d  FAILED %s\n", number, s.title)
				return fmt.Errorf("step %d, %s: %w", number, s.title, err)
			}
			fmt.Fprintf(j.out, "%3d  %-46s %8s  %s\n", number, s.title, short(time.Since(begun)), s.between)
			if what != "" {
				fmt.Fprintf(j.out, "     %s\n", what)
			}
		}
	}
	fmt.Fprintf(j.out, "\n%d steps, all as described, in %s.\n", number, short(time.Since(start)))
	return nil
}

// until repeats check until it is true, fails, or time is up.
func until(ctx context.Context, what string, check func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, eventually)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		done, err := check(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not happen within %s", what, eventually)
		case <-tick.C:
		}
	}
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
