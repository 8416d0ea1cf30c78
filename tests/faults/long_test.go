//go:build long

package faults_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
)

// long tells whether the cases of make test-long are built.
const long = true

// apart are the tests of cases that need a system of their own.
var apart = map[string]func(*testing.T) *trial{
	"clocks-of-services":    clocksOfServices,
	"cluster-leader-killed": clusterLeaderKilled,
}

// clusterLeaderKilled kills the node that leads the stream of identity events.
func clusterLeaderKilled(t *testing.T) *trial {
	s := startSystem(t, t, 3)
	x := newTrial(t, s)
	leader := s.leader(t, "")
	begun := time.Now()
	s.kill(t, leader)
	x.load.progress(t, some, some)
	x.deleteUser(t)
	x.load.progress(t, some, some)
	next := s.leader(t, leader)
	b := openBooks(t, s)
	eventually(t, "events go on", func(ctx context.Context) error {
		return b.none(ctx, devstack.IdentityRelay, "events not published that are older than 3 s",
			`SELECT count(*) FROM events WHERE stream_sequence IS NULL AND recorded_at < now() - interval '3 s'`)
	})
	elected := time.Since(begun)
	s.again(t, leader)
	s.whole(t)
	x.load.progress(t, some, some)
	x.note("events went on after %.1f s, led by %s instead of %s", elected.Seconds(), next, leader)
	return x
}

// leader waits until somebody else than gone leads the stream.
func (s *system) leader(t *testing.T, gone string) (name string) {
	t.Helper()
	eventually(t, "the stream has a leader", func(ctx context.Context) error {
		stream, err := s.js.Stream(ctx, streams.Identity)
		if err != nil {
			return err
		}
		name = stream.CachedInfo().Cluster.Leader
		if name == "" || name == gone {
			return fmt.Errorf("leader is %q", name)
		}
		return nil
	})
	return name
}

// whole waits until every stream has a leader and followers that are up to date.
func (s *system) whole(t *testing.T) {
	t.Helper()
	eventually(t, "the cluster is whole", func(ctx context.Context) error {
		list := s.js.ListStreams(ctx)
		for info := range list.Info() {
			if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != s.nodes-1 {
				return fmt.Errorf("stream %s has no leader or too few followers", info.Config.Name)
			}
			for _, follower := range info.Cluster.Replicas {
				if follower.Offline || !follower.Current {
					return fmt.Errorf("stream %s: %s is not up to date", info.Config.Name, follower.Name)
				}
			}
		}
		return list.Err()
	})
}

// clocksOfServices gives each service in turn a clock that is off. A Go program
// reads its clock without the C library, so what libfaketime and the like do to
// others does not reach it; here time.Now itself is built with an offset.
func clocksOfServices(t *testing.T) *trial {
	off := offsetBinary(t)
	x := newTrial(t, startSystem(t, t, 1))
	var doomed []*customer
	for range services[1:] {
		doomed = append(doomed, x.newcomer(t))
	}
	x.doomed = append(x.doomed, doomed...)
	for i, service := range services {
		offset := "20"
		if i%2 == 1 {
			offset = "-20"
		}
		x.kill(t, service)
		environ, err := x.stack.Environ(service)
		require.NoError(t, err)
		x.run(t, service, &process{path: off, args: []string{service}, env: override(environ,
			append([]string{"NATS_URL=" + x.natsURL(), "CLOCK_OFFSET_SECONDS=" + offset}, settings[service]...))})
		x.ready(t, service)
		x.load.progress(t, some, some)
		_, err = x.load.customer.orders.Orders(t.Context(), x.customer(t, "bob@example.com", "Passw0rd!bob").Token, 0, "")
		require.NoError(t, err, "a new token while the clock of %s is off by %s s", service, offset)
		x.deleteUser(t)
		b := openBooks(t, x.system)
		eventually(t, "the user is erased", func(ctx context.Context) error {
			return b.none(ctx, devstack.IdentityRelay, "erasures missing",
				`SELECT $1 - count(*) FROM erasures WHERE user_hash = ANY($2) AND state = 'complete'`, len(x.deleted), b.hashes(x))
		})
		x.kill(t, service)
		x.again(t, service)
	}
	x.note("%d services, one after the other", len(services))
	return x
}

// offsetBinary builds the processes with a time.Now that reads its offset from
// the environment.
func offsetBinary(t *testing.T) string {
	t.Helper()
	binary(t)
	original := filepath.Join(runtime.GOROOT(), "src", "time", "time.go") //nolint:staticcheck // the toolchain that builds us
	source, err := os.ReadFile(original)
	require.NoError(t, err)
	const (
		read  = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
		clock = `
var clockOffset = func() (seconds int64) {
	text, _ := syscall.Getenv("CLOCK_OFFSET_SECONDS")
	sign := int64(1)
	for i := range len(text) {
		if text[i] == '-' {
			sign = -1
			continue
		}
		seconds = 10*seconds + int64(text[i]-'0')
	}
	return sign * seconds
}()
`
	)
	require.Equal(t, 1, strings.Count(string(source), read), "time.Now reads otherwise in this Go")
	changed := strings.Replace(string(source), read, read+"\tsec += clockOffset\n", 1) + clock
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"syscall\"\n", 1)
	dir := t.TempDir()
	replacement, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(replacement, []byte(changed), 0o600))
	require.NoError(t, os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace": {%q: %q}}`, original, replacement), 0o600))
	path := filepath.Join(built.dir, "program-offset")
	require.NoError(t, build(path, "-overlay", overlay))
	return path
}
