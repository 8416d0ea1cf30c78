package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

func natsKilled(t *testing.T, x *trial) {
	begun := time.Now()
	x.kill(t, devstack.NATS)
	x.load.progress(t, some, some)
	x.deleteUser(t)
	x.load.progress(t, some, some)
	b := openBooks(t, x.system)
	waiting := b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM mailbox_outbox`)
	require.GreaterOrEqual(t, waiting, some, "the outbox keeps what must go out")
	x.again(t, devstack.NATS)
	x.note("NATS was away for %.1f s and %d identity events waited in the outbox", time.Since(begun).Seconds(), waiting)
}

func postgresRestarted(t *testing.T, x *trial) {
	x.stopPostgres(t)
	x.deleteLater(t)
	x.startPostgres(t)
	x.load.progress(t, some, some)
	x.note("every service found its database again by itself")
}

// stopPostgres is `pg_ctl stop -m immediate`: every server process ends at once,
// and the next start recovers from the log.
func (s *system) stopPostgres(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "postgres", "data", "postmaster.pid"))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGQUIT))
	eventually(t, "Postgres has ended", func(context.Context) error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}

func (s *system) startPostgres(t *testing.T) {
	t.Helper()
	var err error
	s.postgres, err = localpostgres.Start(context.Background(), localpostgres.Config{
		Dir: filepath.Join(s.dir, "postgres"), Port: s.stack.Running.Ports[devstack.Postgres], MaxConnections: 300,
	})
	require.NoError(t, err)
}

func storeFull(t *testing.T, x *trial) {
	x.kill(t, devstack.NATS)
	x.launchNATS(t, devstack.NATS, "-max-store", "1024")
	eventually(t, "NATS is back", func(ctx context.Context) error {
		_, err := x.js.AccountInfo(ctx)
		return err
	})
	_, err := x.js.Publish(t.Context(), "orders.v1.probe", nil)
	require.ErrorContains(t, err, "insufficient resources", "the store is full")
	x.load.progress(t, some, some)
	x.deleteUser(t)
	x.load.progress(t, some, some)
	b := openBooks(t, x.system)
	waiting := b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM mailbox_outbox`)
	require.GreaterOrEqual(t, waiting, some)
	x.kill(t, devstack.NATS)
	x.again(t, devstack.NATS)
	x.note("%d identity events waited in the outbox for room", waiting)
}
