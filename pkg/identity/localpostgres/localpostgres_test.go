package localpostgres_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

const patience = 20 * time.Second

// dir is a folder that the server's user can reach; t.TempDir is closed to it.
func dir(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp("", "localpostgres-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(d)) })
	return d
}

func value(t *testing.T, url, query string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	var v string
	require.NoError(t, conn.QueryRow(ctx, query).Scan(&v))
	return v
}

func TestStart_FindsItsDataAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := localpostgres.Config{Dir: dir(t), SkipFsync: true}
	first, err := localpostgres.Start(ctx, cfg)
	require.NoError(t, err)
	db := localpostgres.Database{
		Name: "notes", Migrator: localpostgres.Role{Name: "notes_migrator", Password: "it's"}, Runtime: localpostgres.Role{Name: "notes_runtime", Password: "b"},
	}
	require.NoError(t, localpostgres.Provision(ctx, first.AdminURL(), db))
	require.NoError(t, localpostgres.Provision(ctx, first.AdminURL(), db), "again with the same result")
	require.Equal(t, "notes_migrator", value(t, first.URL("notes", "notes_migrator", "it's"), "SELECT current_user"))
	require.NoError(t, first.Stop())
	require.NoError(t, first.Stop(), "stopping twice is safe")

	second, err := localpostgres.Start(ctx, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, second.Stop()) }()
	require.Equal(t, "notes_runtime", value(t, second.URL("notes", "notes_runtime", "b"), "SELECT current_user"))
	_, err = pgx.Connect(ctx, second.URL("notes", "notes_runtime", "wrong"))
	require.ErrorContains(t, err, "password")
}

func TestProvision_RolesStayInTheirDatabase(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, err := localpostgres.Start(ctx, localpostgres.Config{Dir: dir(t), SkipFsync: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, localpostgres.Provision(ctx, server.AdminURL(), localpostgres.Database{
			Name: name, Migrator: localpostgres.Role{Name: name + "_migrator", Password: "p"}, Runtime: localpostgres.Role{Name: name + "_runtime", Password: "p"},
		}))
	}
	_, err = pgx.Connect(ctx, server.URL("b", "a_runtime", "p"))
	require.ErrorContains(t, err, "permission denied")
	require.Equal(t, "false", value(t, server.AdminURL(), "SELECT (rolbypassrls OR rolsuper)::text FROM pg_roles WHERE rolname = 'a_runtime'"))
}

func TestStart_RefusesARelativeFolder(t *testing.T) {
	t.Parallel()
	_, err := localpostgres.Start(context.Background(), localpostgres.Config{Dir: "data"})
	require.ErrorContains(t, err, "absolute")
}

// TestStart_ServerDiesWithTheProgram kills a program that runs a server as
// kill -9 would, and waits for the server to go.
func TestStart_ServerDiesWithTheProgram(t *testing.T) {
	if folder := os.Getenv("LOCALPOSTGRES_TEST_DIR"); folder != "" {
		_, err := localpostgres.Start(context.Background(), localpostgres.Config{Dir: folder, SkipFsync: true})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "up"), nil, 0o600))
		select {}
	}
	t.Parallel()
	folder := dir(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestStart_ServerDiesWithTheProgram$") //nolint:gosec // this test binary
	cmd.Env = append(os.Environ(), "LOCALPOSTGRES_TEST_DIR="+folder)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(folder, "up"))
		return err == nil
	}, patience, 20*time.Millisecond)
	raw, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(raw), "\n", 2)[0])
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
		return os.IsNotExist(err)
	}, patience, 20*time.Millisecond)
}

// Only root's server runs as somebody else, so only root can be told this.
func TestStart_NamesAFolderThatTheServerCannotEnter(t *testing.T) {
	t.Parallel()
	closed := t.TempDir()                       // 0700, or below such a one
	require.NoError(t, os.Chmod(closed, 0o700)) //nolint:gosec // that is the point
	server, err := localpostgres.Start(context.Background(), localpostgres.Config{Dir: filepath.Join(closed, "postgres"), SkipFsync: true})
	if os.Geteuid() == 0 {
		require.ErrorContains(t, err, "may not enter "+closed)
		return
	}
	require.NoError(t, err)
	require.NoError(t, server.Stop())
}
